"""Endpoint and blocks that an executor takes over from a killed driver.

::

    ledger ──> entry of the executor ──> provider: find, status ──> blocks that live ──> admitted, the controller's
                     │                                         └──> blocks that ended, all where the ledger has no
                     │                                                keys: removed, out of the ledger
                     └──> keys, port, folder of socket files ──> the new interchange: managers reconnect by themselves
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cnflow.blocks.provider_calls import ProviderCalls
from cnflow.clock import SystemClock
from cnflow.errors import BlockError, ConfigurationError
from cnflow.executors.high_throughput.adopted_tasks import AdoptedTasks
from cnflow.executors.high_throughput.block_requests import ManagerEndpoint
from cnflow.executors.high_throughput.interchange_process import make_socket_folder
from cnflow.executors.high_throughput.ways import folder_of
from cnflow.ids import ManagerId
from cnflow.wire.keys import KeyPair, Keyring

if TYPE_CHECKING:
    from cnflow.ids import BlockId, NativeId, RunId
    from cnflow.interfaces import Provider, RunContext
    from cnflow.ledger import ExecutorEntry

logger = logging.getLogger(__name__)


class Takeover(NamedTuple):
    """Blocks, keys and address of an executor that were an earlier driver's."""

    entry: ExecutorEntry
    endpoint: ManagerEndpoint | None
    """None where the ledger has no keys: no block can be taken over."""

    place: tuple[str, int] | None
    """Folder of socket files, made anew where managers connect over TCP; port, 0 for a socket file."""

    natives: dict[BlockId, NativeId]
    """Blocks that live, or whose end was not reported, with their native ids."""

    managers: dict[ManagerId, BlockId]
    """Managers that were connected with the killed driver, of blocks that live."""

    ended: list[NativeId]
    """Blocks that ended, or were cancelled."""

    unconfirmed: dict[NativeId, str]
    """Blocks of `ended` that may have left something behind, each with the reason."""


def adopted_tasks_of(run: RunContext, label: str) -> AdoptedTasks | None:
    """Return the tasks that a killed driver may have left to an executor; None if it left no manager."""
    entry = run.ledger.adopted_executor(label) if run.ledger else None
    if run.ledger is None or entry is None or not entry.managers:
        return None
    return AdoptedTasks(label, map(_manager_id, entry.managers), run.ledger.first_task, SystemClock())


def take_over(run: RunContext, label: str, provider: Provider) -> Takeover | None:
    """Find out which of an executor's blocks live, and remove what is left of the others.

    Returns:
        None if no driver has left any: the executor starts anew.

    Raises:
        ConfigurationError: the folder of its socket files is not the user's own.
    """
    entry = run.ledger.adopted_executor(label) if run.ledger else None
    if entry is None:
        return None
    calls = ProviderCalls(provider)
    natives, ended = _sorted_out(entry, calls, run.run)
    unconfirmed: dict[NativeId, str] = {}
    if ended:
        logger.warning("executor %s: %d blocks ended while no driver had them", label, len(ended))
    is_usable = bool(entry.started.server_secret) or not entry.started.server_public
    if not is_usable:
        logger.warning(
            "executor %s: %d blocks are cancelled, since their keys ended with their driver; Config(adoptable_for=...) "
            "keeps keys",
            label,
            len(natives),
        )
        ended, natives = [*ended, *natives.values()], {}
    if ended:
        try:
            unconfirmed = calls.cancel(ended)
        except BlockError as error:
            unconfirmed = dict.fromkeys(ended, str(error))
    managers = {_manager_id(digits): block for digits, block in entry.managers.items() if block in natives}
    logger.info("executor %s: %d blocks are taken over, with %d managers", label, len(natives), len(managers))
    endpoint, place = (_endpoint(entry), _place(entry)) if is_usable else (None, None)
    return Takeover(entry, endpoint, place, natives, managers, ended, unconfirmed)


def _endpoint(entry: ExecutorEntry) -> ManagerEndpoint:
    started = entry.started
    keys = None
    if started.server_secret:
        public = {str(block): record.public_key for block, record in entry.blocks.items()}
        keys = Keyring(KeyPair(started.server_public, started.server_secret), public)
    return ManagerEndpoint(started.hosts, started.endpoint, keys)


def _place(entry: ExecutorEntry) -> tuple[str, int]:
    where = entry.started.endpoint
    if folder_of(where):
        return make_socket_folder(), 0
    if where.startswith("ipc://"):
        folder = str(Path(where.removeprefix("ipc://")).parent)
        make_own_folder(folder)
        return folder, 0
    return make_socket_folder(), int(where.rpartition(":")[2])


def _manager_id(digits: str) -> ManagerId:
    return ManagerId(bytes.fromhex(digits))


def _sorted_out(
    entry: ExecutorEntry, calls: ProviderCalls, run: RunId
) -> tuple[dict[BlockId, NativeId], list[NativeId]]:
    """Return the blocks that may live, and the native ids of those that ended."""
    natives = entry.natives
    try:
        found = calls.find(run, entry.started.label)
        natives = {**natives, **{block: found[block] for block in entry.unanswered if block in found}}
        statuses = calls.status(list(natives.values()))
    except BlockError as error:
        logger.warning("the provider does not answer; all blocks of the ledger are taken for alive: %s", error)
        return natives, []
    ended = [native for native, status in statuses.items() if status.state.is_final]
    return {block: native for block, native in natives.items() if native not in ended}, ended


def make_own_folder(folder: str) -> None:
    """Make *folder* again, or see that the one that is there is the user's: socket files are private.

    Raises:
        ConfigurationError: it is another user's, or others may enter it.
    """
    with contextlib.suppress(FileExistsError):
        Path(folder).mkdir(mode=0o700)
    status = os.lstat(folder)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise ConfigurationError(
            f"The managers of the run connect to a socket file in {folder}, which is not a private folder of this user "
            "any more. Run 'cnflow clean' on the run's folder, and load the configuration without adopt=."
        )
