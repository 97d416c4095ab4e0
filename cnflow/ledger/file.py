"""The file of a ledger: made with the first block, locked while a driver has it, appended to, removed when it is empty.

::

    no file ──first executor with blocks──> RUN_DIR/ledger (0600), locked by the driver ──append, append, ...
                                               │                                   │
                        the run ends, no block is left: removed                    └── driver killed: the lock is free
                                               │                                            │
                        blocks may run on: stays, unlocked ─────────────────────────────────┴──> open_ledger

The lock is one of fcntl(2), which a child that the driver forks does not inherit: flock(2) would take a driver for
alive while any such child is. It also works on NFS.

A line is in the system's page cache once `append` has returned: it survives the end of the driver, however that ends.
Where blocks run on other machines, `append` waits for the disk as well, so that it survives the end of this machine.
That costs milliseconds for each batch of submissions, in the thread that waits for the provider anyway, and nothing for
a task.
"""

from __future__ import annotations

import contextlib
import copy
import errno
import fcntl
import logging
import os
import threading
from typing import TYPE_CHECKING, NamedTuple

from cnflow.errors import ConfigurationError
from cnflow.ids import TaskId
from cnflow.ledger.records import DriverStarted, Record, decode_lines, encode
from cnflow.ledger.state import LedgerState

if TYPE_CHECKING:
    from pathlib import Path

    from cnflow.ids import RunId
    from cnflow.ledger.state import ExecutorEntry

logger = logging.getLogger(__name__)

FILE = "ledger"
"""Name of the file in a run's folder."""

_TASKS_OF_A_DRIVER = 1_000_000_000
_MODE = 0o600
_open_here: set[tuple[int, int]] = set()
"""Device and inode of the ledgers that this process has open: its own locks do not keep a process out."""


class OpenLedger(NamedTuple):
    """A ledger that is open and locked."""

    descriptor: int
    state: LedgerState


class RunLedger:
    """Writes the ledger of one run. Safe from any thread.

    Args:
        run_dir: folder of the run.
        driver: written before the first other record.
        opened: descriptor of the file, locked, and the state that it holds; None makes the file when it is needed.
    """

    def __init__(self, run_dir: Path, driver: DriverStarted, opened: OpenLedger | None = None) -> None:
        self.path = run_dir / FILE
        self._driver = driver
        self._lock = threading.Lock()
        self._descriptor, self._state = opened or OpenLedger(-1, LedgerState())
        self._unwritten = b""
        """Bytes that found no space; they go before the next record."""

        self._users: set[str] = set()
        """Labels of the executors that have started and not ended."""

        self.adopted: LedgerState | None = copy.deepcopy(self._state) if opened else None
        """State that another driver left; None in a run of its own."""

    @property
    def run(self) -> RunId:
        """Id of the run."""
        return self._driver.run

    @property
    def first_task(self) -> TaskId:
        """Number of this driver's first task: no earlier driver of the run had it."""
        return TaskId(self._driver.generation * _TASKS_OF_A_DRIVER)

    def adopted_executor(self, label: str) -> ExecutorEntry | None:
        """Return what another driver has left of an executor; None if nothing may be left."""
        entry = self.adopted.executors.get(label) if self.adopted else None
        return entry if entry and entry.blocks else None

    def on_executor_start(self, label: str) -> None:
        """Keep the file open until the last executor has ended."""
        with self._lock:
            self._users.add(label)

    def on_executor_end(self, label: str) -> None:
        """Close the file if this was the last executor."""
        with self._lock:
            self._users.discard(label)
            if not self._users:
                self._close()

    def append(self, *records: Record, is_durable: bool = False) -> None:
        """Write *records*, also to the disk if *is_durable*.

        A file that cannot be written is logged, and the run goes on: blocks without a record are still found by their
        names. What was not written goes before the next records.
        """
        with self._lock:
            for record in records if self._state.driver == self._driver else (self._driver, *records):
                self._state.on_record(record)
                self._unwritten += encode(record)
            try:
                self._write()
                if is_durable:
                    os.fdatasync(self._descriptor)
            except OSError as error:
                logger.warning("%s cannot be written, blocks may be missing there: %s", self.path, error)

    def take_over(self) -> None:
        """Record this driver at once: the tasks of the next one must not have the numbers of its tasks.

        Raises:
            ConfigurationError: the file cannot be written.
        """
        self.append(is_durable=True)
        with self._lock:
            if self._unwritten:
                raise ConfigurationError(f"{self.path} cannot be written: make space there, and load the run again.")

    def close(self) -> None:
        """Close the file, as at the end of the last executor."""
        with self._lock:
            self._close()

    def abandon(self) -> None:
        """Close the file and leave it as it is, unless an executor uses it: the run is not taken over after all."""
        with self._lock:
            if self._descriptor >= 0 and not self._users:
                _close(self._descriptor)
                self._descriptor = -1

    def _close(self) -> None:
        """Remove the file if no block can be left, else leave it for `cnflow clean`, and name the blocks."""
        if self._descriptor < 0:
            return
        left = self._state.left()
        if left:
            logger.warning(
                "blocks that may run on: %s. Their ids are in %s; 'cnflow clean %s' cancels them",
                ", ".join(left),
                self.path,
                self.path.parent,
            )
        else:
            with contextlib.suppress(OSError):
                self.path.unlink()
        _close(self._descriptor)
        self._descriptor, self._state, self._unwritten = -1, LedgerState(), b""

    def _write(self) -> None:
        if self._descriptor < 0:
            self._descriptor = _create(self.path)
        while self._unwritten:
            self._unwritten = self._unwritten[os.write(self._descriptor, self._unwritten) :]


def open_ledger(run_dir: Path) -> OpenLedger:
    """Open and lock the ledger of a run whose driver is gone.

    Raises:
        ConfigurationError: there is none, its driver lives, or it is no ledger of this version.
    """
    path = run_dir / FILE
    _refuse_own(path)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        raise ConfigurationError(_no_ledger(run_dir)) from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be opened: {error}.") from error
    try:
        _lock(descriptor, path)
        return OpenLedger(descriptor, _read(descriptor, path))
    except BaseException:
        _close(descriptor)
        raise


def new_driver(run: RunId, generation: int, cnflow: str, protocol: int) -> DriverStarted:
    """Return the record of this process as the driver of *run*."""
    return DriverStarted(run, generation, os.uname().nodename, os.getpid(), cnflow, protocol)


def _create(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, _MODE)
    _lock(descriptor, path)
    return descriptor


def _close(descriptor: int) -> None:
    _open_here.discard(_identity(descriptor))
    os.close(descriptor)


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _refuse_own(path: Path) -> None:
    """Refuse a ledger that this process has open, before it is opened again: closing it would give up the lock."""
    with contextlib.suppress(OSError):
        status = path.stat()
        if (status.st_dev, status.st_ino) in _open_here:
            raise _driver_lives(path, f"this process, {os.getpid()}")


def _lock(descriptor: int, path: Path) -> None:
    """Lock the file for this process.

    Raises:
        ConfigurationError: its driver lives.
    """
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {errno.EACCES, errno.EAGAIN}:
            raise _driver_lives(path, _owner(descriptor)) from None
        logger.warning("%s cannot be locked: make sure that no other driver has this run: %s", path, error)
    _open_here.add(_identity(descriptor))


def _driver_lives(path: Path, owner: str) -> ConfigurationError:
    return ConfigurationError(
        f"The driver of the run in {path.parent} lives: {owner}. End it first; two drivers cannot have the same blocks."
    )


def _owner(descriptor: int) -> str:
    with contextlib.suppress(OSError, ValueError):
        driver = LedgerState.after(decode_lines(os.pread(descriptor, 2**30, 0))[0]).driver
        if driver is not None:
            return f"process {driver.pid} on {driver.host}"
    return "another process has locked its ledger"


def _read(descriptor: int, path: Path) -> LedgerState:
    """Read all whole lines, and cut off a line that was not finished: the next one would be appended to it.

    Raises:
        ConfigurationError: it is no ledger, or of another version.
    """
    try:
        records, whole = decode_lines(os.pread(descriptor, 2**30, 0))
    except ValueError as error:
        raise ConfigurationError(
            f"{path} is no ledger of this version of cnflow ({error}). Use the version that wrote it, named in its "
            "first line."
        ) from error
    state = LedgerState.after(records)
    if state.driver is None:
        raise ConfigurationError(f"{path} names no driver: it ended before it had any block. Remove the file.")
    os.ftruncate(descriptor, whole)
    return state


def _no_ledger(run_dir: Path) -> str:
    if not run_dir.is_dir():
        return f"There is no run in {run_dir}. Give the folder of a run, such as runinfo/007."
    return (
        f"The run in {run_dir} has left nothing to take over: it has no file {FILE!r}. It ended in good order, or had "
        "no blocks."
    )
