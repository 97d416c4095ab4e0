"""Blocks of all runs of this user that the systems of a configuration's providers list.

::

    Config ──> each provider once ──find_all──> names, native ids ──status──> table
                                                                   └─cancel──> ends, or why not
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cnflow.config import HighThroughputExecutor
from cnflow.config.registry import backend_of
from cnflow.errors import ConfigurationError
from cnflow.interfaces.provider import ListsAllBlocks, RemovesRuns
from cnflow.text import align_columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cnflow.config import Config, ProviderSettings
    from cnflow.ids import NativeId
    from cnflow.interfaces import Provider


class Found(NamedTuple):
    """A block that a system lists."""

    kind: str
    """Of the provider."""

    native: NativeId
    name: str
    state: str
    message: str


def list_blocks(config: Config) -> list[Found]:
    """Return the blocks of this user at the systems of *config*.

    Raises:
        ConfigurationError: *config* has no provider that can list them.
        BlockError: a system does not answer.
    """
    found: list[Found] = []
    for settings, provider, names in _providers(config):
        statuses = provider.status(list(names))
        for native, name in sorted(names.items(), key=lambda item: item[1]):
            status = statuses.get(native)
            state = status.state.value if status else "-"
            found.append(Found(settings.kind, native, name, state, status.message if status else ""))
    return found


def cancel_blocks(config: Config, chosen: set[NativeId]) -> dict[NativeId, str]:
    """Cancel those of the blocks of `list_blocks` that are *chosen*; return those whose end was not confirmed.

    Raises:
        ConfigurationError: as `list_blocks`.
        BlockError: a system does not answer.
    """
    left: dict[NativeId, str] = {}
    for _, provider, names in _providers(config):
        left.update(provider.cancel([native for native in names if native in chosen]))
    return left


def remove_orphans(config: Config) -> list[str]:
    """Remove what runs of this user have left at the systems of *config* besides blocks; return names of it.

    Raises:
        ConfigurationError: as `list_blocks`.
        BlockError: a system does not answer.
    """
    removed: list[str] = []
    for _, provider, _ in _providers(config):
        if isinstance(provider, RemovesRuns):
            removed += provider.remove_orphans()
    return removed


def table(found: list[Found]) -> str:
    """Return a table with a row for each block; a sentence if there is none."""
    if not found:
        return "No block of yours is listed."
    head = ("provider", "provider id", "name", "state", "last message")
    return align_columns([head, *((*each[:4], each.message or "-") for each in found)], right=())


def _providers(config: Config) -> Iterator[tuple[ProviderSettings, Provider, Mapping[NativeId, str]]]:
    """Yield the providers of *config* that list blocks, each system once, with the names of its blocks by their ids."""
    seen: set[NativeId] = set()
    is_able = False
    for executor in config.executors:
        if not isinstance(executor, HighThroughputExecutor):
            continue
        provider: Provider = backend_of(executor.provider)(executor.provider)
        try:
            if isinstance(provider, ListsAllBlocks):
                is_able = True
                names = {native: name for native, name in provider.find_all().items() if native not in seen}
                seen.update(names)
                yield executor.provider, provider, names
        finally:
            provider.close()
    if not is_able:
        raise ConfigurationError(
            "No provider of this configuration can list the blocks of other runs: those of batch schedulers can. Name "
            "a configuration with one by --config FILE."
        )
