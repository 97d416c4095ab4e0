"""Cancels the blocks that the ledger of a run names, and those that their provider lists for it.

::

    open_ledger (its driver is gone) ──> each executor: provider of its options ──> find + ids of the ledger ──> cancel
                                                                                                                  │
                             all ends confirmed: the ledger is removed <──────────────────────────────────────────┤
                             else it keeps the ids <──────────────────────────────────────────────────────────────┘
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, NamedTuple

from cnflow import __version__
from cnflow.blocks.provider_calls import ProviderCalls
from cnflow.blocks.shutdown import LONGEST_CANCEL, LONGEST_SEARCH
from cnflow.config.registry import PROVIDERS, backend_of
from cnflow.errors import CnflowError, ConfigurationError
from cnflow.interfaces.provider import RemovesRuns
from cnflow.ledger import ExecutorLedger, RunLedger, new_driver, open_ledger
from cnflow.model.manager_settings import PROTOCOL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cnflow.config import ProviderSettings
    from cnflow.ids import NativeId, RunId
    from cnflow.interfaces import Provider
    from cnflow.ledger import ExecutorEntry

logger = logging.getLogger(__name__)

_PAUSE = 1.0


class Cleaned(NamedTuple):
    """Result for one executor."""

    label: str
    line: str
    """For the user."""

    is_done: bool
    """Nothing of it is left."""


def remove_leftovers(run_dir: Path) -> Iterator[Cleaned]:
    """Cancel the blocks of each executor of a run.

    Raises:
        ConfigurationError: the run has no ledger, or its driver lives.
    """
    opened = open_ledger(run_dir)
    driver = opened.state.driver
    assert driver is not None  # open_ledger refuses a file without one
    ledger = RunLedger(run_dir, new_driver(driver.run, driver.generation + 1, __version__, PROTOCOL), opened)
    try:
        for label, entry in opened.state.executors.items():
            try:
                yield _clean(ledger, driver.run, label, entry)
            except CnflowError as error:
                yield Cleaned(label, str(error), not entry.blocks)
    finally:
        ledger.close()


def _clean(ledger: RunLedger, run: RunId, label: str, entry: ExecutorEntry) -> Cleaned:
    part = ExecutorLedger(ledger, entry.started, is_durable=False)
    part.adopt(entry)
    settings = _provider_settings(entry)
    provider: Provider = backend_of(settings)(settings)
    try:
        calls = ProviderCalls(provider, part)
        listed_from = ledger.path.stat().st_mtime + min(settings.traits().status_lag, LONGEST_SEARCH)
        while (
            missing := set(entry.unanswered) - (found := calls.find(run, label)).keys()
        ) and time.time() < listed_from:
            time.sleep(_PAUSE)
        part.on_never_started(missing)
        natives = {*found.values(), *entry.natives.values()}  # a provider may list blocks that the ledger lacks
        left = _cancel(calls, natives)
        if not left and isinstance(provider, RemovesRuns):
            provider.remove_run(run)
    finally:
        provider.close()
    if left:
        return Cleaned(label, f"the end of {', '.join(sorted(left))} was not confirmed; run this again", is_done=False)
    return Cleaned(label, f"{len(natives)} blocks were cancelled, nothing is left", is_done=True)


def _cancel(calls: ProviderCalls, natives: set[NativeId]) -> set[NativeId]:
    """Cancel blocks, again where that was not confirmed; return those that may run on."""
    deadline = time.monotonic() + LONGEST_CANCEL
    while natives:
        try:
            natives = set(calls.cancel(list(natives)))
        except CnflowError as error:
            logger.warning("the end of blocks %s was not confirmed: %s", ", ".join(sorted(natives)), error)
        if time.monotonic() >= deadline:
            break
        if natives:
            time.sleep(_PAUSE)
    return natives


def _provider_settings(entry: ExecutorEntry) -> ProviderSettings:
    options = entry.started.provider
    if options is None:
        names = ", ".join(entry.natives.values()) or "none"
        raise ConfigurationError(
            "its provider can only be made by the run's own script. Load the script's configuration with "
            f"cnflow.load(config, adopt=...) and end that run, or cancel these blocks by hand: {names}."
        )
    settings_class, values = PROVIDERS.class_and_options(options)
    return settings_class(**values)
