"""Decides whether a run of a killed driver can be taken over with a configuration, and says why not.

::

    load(config, adopt=RUN_DIR) ──> open_ledger: its driver is gone ──> same protocol? same executors? ──> RunLedger
                                                                            └── no: ConfigurationError, nothing changed
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow import __version__, control_socket
from cnflow.config import HighThroughputExecutor
from cnflow.config.paths import path_argument
from cnflow.errors import ConfigurationError
from cnflow.ledger import OpenLedger, RunLedger, new_driver, open_ledger
from cnflow.model.manager_settings import PROTOCOL

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from cnflow.config import Config
    from cnflow.ledger import ExecutorEntry, LedgerState


def adopt_ledger(run_dir: str | os.PathLike[str], config: Config) -> RunLedger:
    """Return the ledger of the run in *run_dir*, for a driver that takes its blocks over with *config*.

    Raises:
        ConfigurationError: there is nothing to take over, its driver lives, or *config* is not that of the run.
    """
    folder = path_argument(run_dir, "adopt").resolve()
    opened = open_ledger(folder)
    driver = opened.state.driver
    assert driver is not None  # open_ledger refuses a ledger without one
    ledger = RunLedger(folder, new_driver(driver.run, driver.generation + 1, __version__, PROTOCOL), opened)
    try:
        _check(opened, folder, config)
        ledger.take_over()
    except ConfigurationError:
        ledger.abandon()
        raise
    (folder / control_socket.FILE).unlink(missing_ok=True)  # the killed driver's; nobody listens there
    return ledger


def _check(opened: OpenLedger, folder: Path, config: Config) -> None:
    driver = opened.state.driver
    assert driver is not None
    if driver.protocol != PROTOCOL:
        raise ConfigurationError(
            f"The run in {folder} belongs to cnflow {driver.cnflow} (protocol {driver.protocol}); this is cnflow "
            f"{__version__} (protocol {PROTOCOL}), which its managers do not understand. Take it over with that "
            f"version, or run 'cnflow clean {folder}' and load the configuration without adopt=."
        )
    differences = _differences(opened.state, config)
    if differences:
        raise ConfigurationError(
            f"The run in {folder} has blocks that this configuration does not fit: {'; '.join(differences)}. Load the "
            f"configuration of that run, or run 'cnflow clean {folder}' and load this one without adopt=."
        )


def _differences(state: LedgerState, config: Config) -> list[str]:
    """Describe executors with blocks that *config* lacks, or has otherwise."""
    mine = {executor.label: executor for executor in config.executors}
    has_template = any(executor.runs_images and not executor.image for executor in config.executors)
    found: list[str] = []
    for label, entry in state.executors.items():
        executor = mine.get(label)
        if not entry.blocks:
            continue
        if isinstance(executor, HighThroughputExecutor):
            found += _difference(label, entry, executor)
        elif executor is not None:
            found.append(f"executor {label!r} is a {type(executor).__name__} now, without blocks")
        elif not (has_template and entry.started.image):  # an executor of a template is made with the first task for it
            found.append(f"executor {label!r} is missing")
    return found


def _difference(label: str, entry: ExecutorEntry, executor: HighThroughputExecutor) -> list[str]:
    found: list[str] = []
    if str(executor.image) != entry.started.image:
        found.append(f"executor {label!r} has image {str(executor.image)!r} now, and had {entry.started.image!r}")
    kind = (entry.started.provider or {}).get("kind")
    if kind is not None and kind != executor.provider.kind:
        found.append(f"executor {label!r} has provider {executor.provider.kind!r} now, and had {kind!r}")
    return found
