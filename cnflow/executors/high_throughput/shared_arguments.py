"""Puts the large arguments of tasks into memory that workers on this machine map, once all managers have proved it.

::

    probe: a memfd with a token ──settings──> manager: opens it, finds the token ──ManagerInfo──> on_manager
                                                                                                    │ all: is_on
    payload that is large ──is_on──> ArgumentMemory, kept with the task ──> payload that maps it <┘
"""

from __future__ import annotations

import os
import pickle
import resource
import secrets
import weakref
from typing import TYPE_CHECKING

from cnflow.launchers import SingleNodeLauncher
from cnflow.tasks import value_files
from cnflow.tasks.shared_values import SHARED_FROM, Argument, remove_results, results_prefix, size_of
from cnflow.wire.serialization import Payload

if TYPE_CHECKING:
    from cnflow.config import HighThroughputExecutor
    from cnflow.interfaces import RunContext
    from cnflow.wire.manager_messages import ManagerInfo

_PART_OF_FILES = 4
"""Part of the files that this process may have open that values may have."""


class ArgumentMemory:
    """Memory of the arguments of one task: a file without a name, which ends with the last process that has it.

    Args:
        payload: the pickled arguments; all of it is copied.

    Attributes:
        place: path at which workers find it, and its device and inode.

    Raises:
        OSError: there is no room, or no file more can be open.
    """

    def __init__(self, payload: Payload) -> None:
        descriptor = os.memfd_create("cnflow-arguments", os.MFD_CLOEXEC)
        weakref.finalize(self, os.close, descriptor)
        value_files.write(descriptor, value_files.chunks_of(payload))
        status = os.fstat(descriptor)
        self.place = f"/proc/{os.getpid()}/fd/{descriptor} {status.st_dev}:{status.st_ino}"


class SharedArguments:
    """Memory of the arguments of one executor. Safe from any thread.

    Attributes:
        place: for the settings of managers; empty where no memory can be shared.
        is_on: all managers so far share memory with this process, and there is one.
    """

    def __init__(self) -> None:
        self.is_on = False
        self._is_ruled_out = False
        self._open: weakref.WeakSet[ArgumentMemory] = weakref.WeakSet()
        self.place = ""
        if hasattr(os, "memfd_create"):
            token = secrets.token_hex(16)
            descriptor = os.memfd_create("cnflow-probe", os.MFD_CLOEXEC)
            self._close = weakref.finalize(self, os.close, descriptor)
            os.write(descriptor, token.encode())
            self.place = f"/proc/{os.getpid()}/fd/{descriptor} {token}"
            weakref.finalize(self, remove_results, results_prefix(self.place))

    def on_manager(self, info: ManagerInfo) -> None:
        """Note whether a new manager shares memory; one that does not ends it for all."""
        self._is_ruled_out = self._is_ruled_out or not info.shares_memory
        self.is_on = not self._is_ruled_out

    def close(self) -> None:
        """Share nothing from now on."""
        self._is_ruled_out, self.is_on = True, False
        if self.place:
            self._close()

    def packed(self, payload: Payload) -> tuple[Payload, ArgumentMemory] | None:
        """Return what is sent in place of *payload*, and its memory; None where it is sent itself.

        The memory is to be kept as long as a worker may load the arguments.
        """
        # Bytecode in it may be refused by workers, and is then sent as source.
        if not self.is_on or payload.python or size_of(payload) < SHARED_FROM:
            return None
        if len(self._open) >= resource.getrlimit(resource.RLIMIT_NOFILE)[0] // _PART_OF_FILES:
            return None
        try:
            memory = ArgumentMemory(payload)
        except OSError:  # no room: it goes through the sockets
            return None
        self._open.add(memory)
        return Payload(pickle.dumps(Argument(memory.place), protocol=5)), memory


def shared_arguments(settings: HighThroughputExecutor, run: RunContext) -> SharedArguments | None:
    """Return the memory of an executor whose tasks run on this machine; None for one whose tasks may run elsewhere.

    A run that another driver may take over has none: its tasks outlive this process, and its memory.
    """
    provider = settings.provider
    is_here = provider.kind == "local" and isinstance(getattr(provider, "launcher", None), SingleNodeLauncher)
    return SharedArguments() if settings.share_memory and is_here and not run.adoptable_for else None
