"""Backends by name, imported on use: the one table that a new backend adds a line to."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import NamedTuple

from cnflow.errors import ConfigurationError, MissingExtraError, UnknownNameError


class Backend(NamedTuple):
    """Where the two halves of a backend live."""

    settings: str
    """``module:Class`` of what the user writes."""

    live: str
    """``module:Class`` of what `cnflow.assemble` makes from it."""

    extra: str = ""
    """Extra of pyproject.toml that installs what it needs."""


PROVIDERS: Mapping[str, Backend] = {
    "local": Backend("cnflow.config.providers:LocalProvider", "cnflow.providers.local.provider:LocalBackend"),
    "docker": Backend("cnflow.config.providers:DockerProvider", "cnflow.providers.docker:DockerBackend", "docker"),
}

EXECUTORS: Mapping[str, Backend] = {
    "threads": Backend(
        "cnflow.config.executors:ThreadPoolExecutor", "cnflow.executors.threads.executor:ThreadPoolBackend"
    ),
    "high_throughput": Backend(
        "cnflow.config.executors:HighThroughputExecutor",
        "cnflow.executors.high_throughput:HighThroughputBackend",
    ),
}

STAGINGS: Mapping[str, str] = {
    "file": "cnflow.staging:NoOpFileStaging",
    "ftp": "cnflow.staging:FTPSeparateTaskStaging",
    "ftp_in_task": "cnflow.staging:FTPInTaskStaging",
    "http": "cnflow.staging:HTTPSeparateTaskStaging",
    "http_in_task": "cnflow.staging:HTTPInTaskStaging",
    "zip": "cnflow.staging:ZipFileStaging",
}
"""``module:Class``; settings and live half are one."""

LOGS: Mapping[str, Backend] = {
    "file": Backend("cnflow.config.logging:FileLogging", "cnflow.config.logging:FileLogging"),
    "json": Backend("cnflow.config.logging:JSONLogging", "cnflow.config.logging:JSONLogging"),
    "none": Backend("cnflow.config.logging:NoopLogging", "cnflow.config.logging:NoopLogging"),
}


def parse_kind(value: object, registry: Mapping[str, Backend], what: str) -> object:
    """Settings made from a mapping such as ``{"kind": "docker", ...}``; anything else is returned as it is.

    Raises:
        ConfigurationError: the mapping has no kind.
        UnknownNameError: no backend of that kind.
    """
    if not isinstance(value, Mapping):
        return value
    if "kind" not in value:
        raise ConfigurationError(
            f"The {what} {dict(value)!r} does not say its kind. Known: {', '.join(sorted(registry))}."
        )
    kind = str(value["kind"])
    if kind not in registry:
        raise UnknownNameError(what, kind, registry)
    settings: object = load(registry[kind].settings, what)(**value)
    return settings


def load(target: str, what: str, extra: str = "") -> type:
    """The class that *target* (``module:Class``) names.

    Raises:
        MissingExtraError: its module's packages are not installed.
    """
    module, _, name = target.partition(":")
    try:
        loaded: type = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if not extra or str(error.name).startswith("cnflow"):
            raise
        raise MissingExtraError(what, extra) from error
    return loaded
