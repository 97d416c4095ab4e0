"""Parses the options of an app: those of its decorator, and those of `App.options`. No I/O."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.dataflow.call_options import NO_OPTIONS, AppOptions, parse_call_options
from cnflow.errors import ConfigurationError
from cnflow.model.image import Image
from cnflow.model.resources import Resources
from cnflow.model.task import AppKind
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typing_extensions import TypedDict

    from cnflow.dataflow import DataFlowKernel
    from cnflow.model.image import ImageLike

    class OptionKeywords(TypedDict, total=False):
        """Options of `App.options`."""

        cache: bool
        data_flow_kernel: DataFlowKernel | None
        env: dict[str, str] | None
        executors: str | Sequence[str]
        fresh: bool
        ignore_for_cache: Sequence[str]
        image: ImageLike
        keep_remote: bool | None
        label: str
        pipefail: bool | None
        resources: Mapping[str, Any] | Resources | None
        retries: float | None
        sandbox: bool
        walltime: float | None


_JOIN_OPTIONS = ("cache", "data_flow_kernel", "ignore_for_cache", "retries")
_KEYWORDS = ("env", "resources", "sandbox", "walltime")
_OPTIONS = {
    AppKind.JOIN: _JOIN_OPTIONS,
    AppKind.PYTHON: (*_JOIN_OPTIONS, *_KEYWORDS, "executors", "fresh", "image", "keep_remote"),
    AppKind.BASH: (*_JOIN_OPTIONS, *_KEYWORDS, "executors", "fresh", "image", "pipefail"),
}
_OF_CALLS = frozenset({*_KEYWORDS, "keep_remote", "label", "pipefail"})
"""Options that every call has which does not set them itself."""


class ParsedOptions(NamedTuple):
    """Options of an app."""

    app: AppOptions = NO_OPTIONS
    keywords: Mapping[str, Any] = {}
    """Options of each call."""

    data_flow_kernel: DataFlowKernel | None = None
    """Run that gets the tasks; None is the one loaded at the time of a call."""


NO_PARSED_OPTIONS = ParsedOptions()


def parse_options(
    where: str, kind: AppKind, options: dict[str, Any], before: ParsedOptions | None = None
) -> ParsedOptions:
    """Parse *options*.

    Args:
        where: decorator or method, for messages.
        kind: of the app.
        options: by name.
        before: options of the app that gets others; None for a decorator's.

    Raises:
        ConfigurationError: an option is unknown (the message names the nearest), or of the wrong type.
    """
    known = _OPTIONS[kind] if before is None else (*_OPTIONS[kind], "label")
    for name in options:
        if name not in known:
            raise ConfigurationError(
                f"{where} has no option {name!r}.{did_you_mean(name, known)} Known: {', '.join(sorted(known))}."
            )
    _check_types(where, options)
    before = before or NO_PARSED_OPTIONS
    dfk = options.pop("data_flow_kernel", before.data_flow_kernel)
    keywords = {name: options.pop(name) for name in _OF_CALLS & options.keys()}
    if keywords:
        parse_call_options(where, keywords)  # refused here rather than at each call
    return ParsedOptions(replace(before.app, **options), {**before.keywords, **keywords}, dfk)


def _check_types(where: str, options: dict[str, Any]) -> None:
    executors = options.get("executors", "all")
    labels = [executors] if isinstance(executors, str) else executors
    if not isinstance(labels, (list, tuple, set)) or not all(isinstance(label, str) for label in labels):
        raise ConfigurationError(f"{where}(executors=...) must be a label or a list of labels, not {executors!r}.")
    if "image" in options:
        options["image"] = _image(where, options["image"])
    for name in ("cache", "fresh"):
        if not isinstance(options.get(name, False), bool):
            raise ConfigurationError(f"{where}({name}=...) must be True or False, not {options[name]!r}.")
    if options.get("resources") is not None:
        options["resources"] = Resources.of(options["resources"])
    retries = options.get("retries")
    if retries is not None and (isinstance(retries, bool) or not isinstance(retries, (int, float)) or retries < 0):
        raise ConfigurationError(f"{where}(retries=...) must be a number from 0 on, not {retries!r}.")


def _image(where: str, value: object) -> Image:
    try:
        return Image.of(value)
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}(image=...): {error}") from None
