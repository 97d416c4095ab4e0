"""Parses the options of an `Image`: from what the user writes to what is kept. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Callable, Union

from cnflow.errors import ConfigurationError
from cnflow.model.image_parts import Credentials, Mount, Secret
from cnflow.model.image_recipe import ImageRecipe
from cnflow.text import did_you_mean
from cnflow.units import bytes_in

PULL_POLICIES = ("missing", "always", "never")
REPLACED, KEPT = "replace", "keep"
_NO_ITEMS: Mapping[str, Any] = MappingProxyType({})


def _wrong(where: str, wanted: str, value: object) -> ConfigurationError:
    return ConfigurationError(f"{where} must be {wanted}, not {value!r}.")


def _text(where: str, value: Any) -> str:  # noqa: ANN401 - checked here, as in all that follow
    if not isinstance(value, str):
        raise _wrong(where, "a text", value)
    return value


def _reference(where: str, value: Any) -> str:  # noqa: ANN401
    if not isinstance(value, str):
        raise ConfigurationError(f"An image is named by a text, such as 'app1:0.1', not by {value!r}.")
    return _text(where, value)


def _pull(where: str, value: Any) -> str:  # noqa: ANN401
    if value not in PULL_POLICIES:
        raise _wrong(where, f"one of {', '.join(map(repr, PULL_POLICIES))}", value)
    return str(value)


def _credentials(where: str, value: Any) -> Credentials:  # noqa: ANN401
    parsed: Credentials = _named(where, Credentials.of, value)
    return parsed


def _environment(where: str, value: Any) -> Mapping[str, str]:  # noqa: ANN401
    if not isinstance(value, Mapping):
        raise _wrong(where, "a dict of names and values", value)
    for name, each in value.items():
        if not isinstance(name, str) or not name or "=" in name or not isinstance(each, str):
            raise _wrong(where, "a dict of names and values, all of them texts", {name: each})
    return MappingProxyType(dict(value))


def _secrets(where: str, value: Any) -> Mapping[str, Secret]:  # noqa: ANN401
    if isinstance(value, (list, tuple, set, frozenset)) and all(isinstance(each, str) for each in value):
        value = {name: Secret(env=name) for name in sorted(value)}
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{where} must be a dict of names and sources, or a list of the driver's variables.")
    for name in value:
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
            raise _wrong(where, "named by letters, digits, '_', '.' and '-'", name)
    return MappingProxyType({name: _named(f"{where}.{name}", Secret.of, each) for name, each in value.items()})


def _mounts(where: str, value: Any) -> tuple[Mount, ...]:  # noqa: ANN401
    if isinstance(value, (str, Mapping)) or not isinstance(value, Sequence):
        raise _wrong(where, "a list, such as ['/data:/data']", value)
    mounts = tuple(_named(where, Mount.of, each) for each in value)
    targets = [mount.target for mount in mounts]
    if twice := next((target for target in targets if targets.count(target) > 1), ""):
        raise ConfigurationError(f"{where}: two mounts have the target {twice!r}.")
    return mounts


def _entrypoint(where: str, value: Any) -> Union[str, tuple[str, ...]]:  # noqa: ANN401
    if value in (REPLACED, KEPT):
        return str(value)
    if isinstance(value, (list, tuple)) and value and all(isinstance(each, str) for each in value):
        return tuple(value)
    near = did_you_mean(value, (REPLACED, KEPT)) if isinstance(value, str) else ""
    raise ConfigurationError(f"{where} must be 'replace', 'keep' or a list of words, not {value!r}.{near}")


def _size(where: str, value: Any) -> int:  # noqa: ANN401
    try:
        return bytes_in(value)
    except ValueError as error:
        raise ConfigurationError(f"{where} {error}.") from None


def _cpus(where: str, value: Any) -> float:  # noqa: ANN401
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise _wrong(where, "a number above 0", value)
    return float(value)


def _pids(where: str, value: Any) -> int:  # noqa: ANN401
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _wrong(where, "a whole number above 0", value)
    return value


def _gpus(where: str, value: Any) -> Union[int, tuple[str, ...]]:  # noqa: ANN401
    if isinstance(value, int) and not isinstance(value, bool) and value >= -1:
        return value
    if isinstance(value, (list, tuple)) and value and all(isinstance(each, (str, int)) for each in value):
        return tuple(map(str, value))
    raise _wrong(where, "a number (-1 for all) or a list of device ids", value)


def _ulimits(where: str, value: Any) -> Mapping[str, tuple[int, int]]:  # noqa: ANN401
    if not isinstance(value, Mapping):
        raise _wrong(where, "a dict such as {'nofile': 65536}", value)
    limits = {}
    for name, each in value.items():
        pair = tuple(each) if isinstance(each, (list, tuple)) else (each, each)
        is_limit = len(pair) == 2 and all(isinstance(n, int) and not isinstance(n, bool) and n >= -1 for n in pair)  # noqa: PLR2004 - soft and hard
        if not isinstance(name, str) or not is_limit:
            raise _wrong(f"{where}.{name}", "a whole number, or a soft and a hard one", each)
        limits[name] = (int(pair[0]), int(pair[1]))
    return MappingProxyType(limits)


_RUNTIMES = ("docker", "kubernetes", "apptainer", "singularity", "charliecloud", "shifter", "podman_hpc")
"""Runtimes whose names are checked for slips; a provider of somebody else's may have another."""


def _extras(where: str, value: Any) -> Mapping[str, Mapping[str, Any]]:  # noqa: ANN401
    if not isinstance(value, Mapping) or not all(isinstance(each, Mapping) for each in value.values()):
        raise _wrong(where, "a dict of runtimes and their options, such as {'docker': {'read_only': True}}", value)
    for name in value:
        if name == "podman":
            raise ConfigurationError(f"{where}: Podman takes those of 'docker': write them under this name.")
        if name not in _RUNTIMES and (near := did_you_mean(str(name), _RUNTIMES)):
            raise ConfigurationError(f"{where}: {name!r} is no runtime.{near}")
    return MappingProxyType({str(name): MappingProxyType(dict(each)) for name, each in value.items()})


def _recipe(where: str, value: Any) -> ImageRecipe:  # noqa: ANN401
    recipe: ImageRecipe = _named(where, ImageRecipe.of, value)
    return recipe


def _named(where: str, parse: Callable[[Any], Any], value: object) -> Any:  # noqa: ANN401 - what *parse* returns
    try:
        return parse(value)
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from None


PARSERS: Mapping[str, Callable[[str, Any], Any]] = {
    "reference": _reference,
    "platform": _text,
    "pull": _pull,
    "credentials": _credentials,
    "environment": _environment,
    "secrets": _secrets,
    "mounts": _mounts,
    "user": _text,
    "working_dir": _text,
    "entrypoint": _entrypoint,
    "shared_memory": _size,
    "cpus": _cpus,
    "memory": _size,
    "pids": _pids,
    "gpus": _gpus,
    "network": _text,
    "ulimits": _ulimits,
    "extras": _extras,
    "recipe": _recipe,
}
"""Option -> its parser, which gets the words that name the option in messages, and what the user wrote."""

DEFAULTS: Mapping[str, Any] = {
    **dict.fromkeys(PARSERS),
    **dict.fromkeys(("reference", "platform", "user", "working_dir", "network"), ""),
    **dict.fromkeys(("environment", "secrets", "ulimits", "extras"), _NO_ITEMS),
    "mounts": (),
    "entrypoint": REPLACED,
}
"""Option -> its value where it is left out."""
