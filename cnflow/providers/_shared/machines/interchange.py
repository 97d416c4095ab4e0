"""Machine of an interchange in a cloud: launched, reached by ssh, replaced when it is lost.

::

    place ──> launch, on-demand ──> RUNNING with a public address ──> sshd with the pinned key ──> capsule is sent
    command(is_start=True) ──> `deferred` process, waits for its pipe
         thread: machine is there? ── no ──> another, at the same private address if possible ──> pipe: ssh
    command(is_start=False)
         thread: machine is over ──> pipe: print that the interchange is gone         the executor starts another one
    close ──> terminated

It is no block: a block is drained, preempted and scaled away, and an interchange must not be. It ends itself when no
interchange has run on it for its grace.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from typing import TYPE_CHECKING

from cnflow.addresses import LOOPBACK
from cnflow.channels.deferred import DeferredCommand, deferred_argv
from cnflow.errors import BlockError, ChannelError, CnflowError, NoCapacityError, QuotaError
from cnflow.interfaces import InheritedCommand
from cnflow.model.interchange_settings import GONE, GREETING
from cnflow.model.machine import Machine, MachineRequest, MachineState
from cnflow.providers._shared.machines import tags
from cnflow.providers._shared.machines.boot import BootPlace
from cnflow.providers._shared.machines.interchange_data import interchange_user_data
from cnflow.providers._shared.machines.interchange_forward import Forward, free_port
from cnflow.providers._shared.machines.interchange_ssh import RunKeys
from cnflow.providers._shared.machines.judge import LIVING, is_left
from cnflow.sites.folder import SiteFolder

if TYPE_CHECKING:
    from collections.abc import Collection

    from cnflow.config.machines import MachineSettings
    from cnflow.interfaces import Cloud, InterchangeRequest
    from cnflow.interfaces.channel import Channel
    from cnflow.model.machine import Placement

logger = logging.getLogger(__name__)

DEFAULT_PORT = 5700
"""TCP port for managers; the machine has all ports for itself."""

_PAUSE = 1.0
_SENT_WITHIN = 300.0
"""Seconds for the capsule on its way to the machine."""

_WEEK = 7 * 24 * 3600.0
_FOLDER = ".cnflow"
_CLOSED = "The executor ends before its interchange has begun."


class PlacedMachine:
    """See `cnflow.interfaces.PlacedInterchange`. Safe from any thread; `place` comes first.

    Args:
        request: of the executor.
        settings: of the provider.
        cloud: in which it is.
        is_ending: set when the run ends, and nobody waits for the machine any more.
    """

    def __init__(
        self, request: InterchangeRequest, settings: MachineSettings, cloud: Cloud, *, is_ending: threading.Event
    ) -> None:
        self._request = request
        self._settings = settings
        self._cloud = cloud
        self._is_ending = is_ending
        self._is_closed = threading.Event()
        self._lock = threading.RLock()
        """Held while a machine is made, and waited for."""

        self._keys = RunKeys(settings)
        self._number = 0
        self._machine: Machine | None = None
        self._channel: Channel | None = None
        self._argv: list[str] = []
        """Of the relay."""

        self._boot_place: BootPlace | None = None
        self.name = f"the interchange's machine in {cloud.name}"
        self.addresses: Collection[str] = ()
        first, last = request.ports or (DEFAULT_PORT, DEFAULT_PORT + 299)
        self.port = free_port(first, last) if request.has_local_blocks else first
        self._forward = Forward() if request.has_local_blocks else None

    @property
    def boot_place(self) -> BootPlace:
        """Place for the boot site, which is another one after the machine was replaced.

        Raises:
            BlockError: there is no machine.
        """
        if self._boot_place is None:
            raise BlockError(f"{self._cloud.name} has no machine of the interchange any more; another one is made.")
        return self._boot_place

    def place(self) -> None:
        """Have the machine, reached by ssh, with cnflow's code; nothing is left where that fails.

        Raises:
            BlockRejectedError: the cloud refuses it.
            BlockError: the cloud does not answer or has no room, or the machine is not reached in `startup_timeout`.
        """
        try:
            self._ensure()
        except BaseException:
            self.close()
            raise

    def command(self, *, is_start: bool) -> InheritedCommand:
        """See `PlacedInterchange`."""
        near, far = os.pipe()
        threading.Thread(
            target=self._send_command, args=(far, is_start), name="cnflow-interchange-machine", daemon=True
        ).start()
        return InheritedCommand(deferred_argv(near), near)

    def close(self) -> None:
        """Terminate the machine; one that the cloud does not end now ends itself."""
        self._is_closed.set()
        with self._lock:
            self._leave_channel()
            if self._forward is not None:
                self._forward.close()
            if self._number:
                self._terminate_all()
            self._machine = None
            self._keys.close()

    def _send_command(self, far: int, is_start: bool) -> None:  # noqa: FBT001 - of a thread
        """Find out what the command is, and send it."""
        try:
            found = self._command_of(is_start=is_start)
        except CnflowError as error:
            found = DeferredCommand(error=str(error))
        except BaseException as error:  # the process waits for an answer
            logger.exception("the interchange's machine cannot be reached")
            found = DeferredCommand(error=f"{type(error).__name__}: {error}")
        try:
            with os.fdopen(far, "wb") as pipe:
                pipe.write(found.to_json())  # leaves the buffer when the pipe is closed
        except BrokenPipeError:
            logger.debug("the command of the interchange was killed before it got its request")

    def _command_of(self, *, is_start: bool) -> DeferredCommand:
        with self._lock:
            if is_start:
                self._ensure()
            elif self._machine is None or self._has_ended(self._machine):
                return DeferredCommand(output=f"{GREETING.decode()}{GONE}\n")
            assert self._channel is not None
            return DeferredCommand(argv=list(self._channel.command(self._argv)))

    def _ensure(self) -> None:
        """Have a machine that runs; one that is over is replaced."""
        with self._lock:
            if self._is_closed.is_set():
                raise BlockError(_CLOSED)
            before = self._machine
            if before is not None and self._boot_place is not None:
                now = self._listed(before)
                if now is not None and now.state in LIVING:
                    return
            self._leave_channel()
            if self._number:
                self._terminate_all()
            self._number += 1
            self._machine = self._launch(before)
            deadline = time.monotonic() + self._settings.startup_timeout
            self._machine = machine = self._wait_until_running(self._machine, deadline)
            self.name = f"machine {machine.id} of {self._cloud.name}"
            self._reach(machine, deadline)

    def _launch(self, before: Machine | None) -> Machine:
        """Launch at the first placement with room: that of the one *before* first, since its address is there."""
        offered = list(self._cloud.placements(for_interchange=True))
        if before is not None:
            offered.sort(key=lambda each: each.zone != before.placement.zone)
        words: list[str] = []
        for placement in offered:
            try:
                return self._cloud.launch(self._machine_request(placement, before))
            except (NoCapacityError, QuotaError) as error:
                words.append(f"{placement}: {error}")
        lines = "\n".join(words) or "its settings allow none"
        raise NoCapacityError(f"{self._cloud.name} has no machine for the interchange:\n{lines}")

    def _machine_request(self, placement: Placement, before: Machine | None) -> MachineRequest:
        request, settings = self._request, self._settings
        name = tags.tag_value(f"cnflow-{request.run}-{request.executor}-interchange-{self._number}").replace("_", "-")
        token = hashlib.sha256("\0".join((name, *map(str, placement[:3]), self._keys.id)).encode()).hexdigest()[:32]
        text = interchange_user_data(
            self._keys.pairs,
            settings.ssh_user,
            first_within=settings.startup_timeout + _SENT_WITHIN,
            ending=settings.end_commands(),
        )
        return MachineRequest(
            name=name,
            token=token,
            placement=placement,
            tags={**settings.tags, **tags.interchange_tags(request.run, request.executor, time.time() + _WEEK)},
            user_data=text,
            private_address=before.private_address if before is not None else "",
            is_interchange=True,
        )

    def _wait_until_running(self, machine: Machine, deadline: float) -> Machine:
        state = machine
        while not (self._is_ending.is_set() or self._is_closed.is_set()):
            listed = self._listed(machine)
            state = listed or state
            if state.state not in LIVING:
                words = state.reason or "the cloud gives no reason"
                raise BlockError(f"The interchange's machine {machine.id} has ended before it was reached: {words}")
            if state.state is MachineState.RUNNING and self._address_of(state):
                return state
            if time.monotonic() > deadline:
                raise self._late(f"is {state.state.value}{f': {state.reason}' if state.reason else ''}")
            self._is_closed.wait(_PAUSE)
        raise BlockError(_CLOSED)

    def _reach(self, machine: Machine, deadline: float) -> None:
        """Wait for sshd, and send cnflow's code."""
        channel = self._keys.channel(self._address_of(machine), connect_timeout=10.0)
        self._channel = channel
        site = SiteFolder(channel, _FOLDER)
        while True:
            if self._is_ending.is_set() or self._is_closed.is_set():
                raise BlockError(_CLOSED)
            try:
                channel.open()
                break
            except ChannelError as error:
                if time.monotonic() > deadline:
                    raise self._late(f"is not reached by ssh: {error}{self._console_of(machine)}") from error
                self._is_closed.wait(_PAUSE)
        node = site.bare_node(carries=True)
        self._argv = [node.python, "-s", f"{node.root}/cnflow/interchange/__main__.py", "--attach"]
        private = machine.private_address or self._address_of(machine)
        if not self.addresses:
            self.addresses = [private]
        elif private not in self.addresses:
            logger.warning(
                "the interchange's new machine has another address, %s: blocks that know the old one end", private
            )
            self.addresses = [private, *self.addresses]
        if self._forward is not None:
            self._forward.lead(self._keys.forward_argv(self._address_of(machine), self.port))
            self.addresses = list(dict.fromkeys([*self.addresses, LOOPBACK]))
        self._boot_place = BootPlace(site, (private,), self._request.grace)

    def _has_ended(self, machine: Machine) -> bool:
        now = self._listed(machine)
        if now is None or now.state in LIVING:
            return False
        logger.warning("the interchange's machine %s has ended: %s", now.id, now.reason or "no reason is known")
        return True

    def _listed(self, machine: Machine) -> Machine | None:
        """Return *machine* as the cloud lists it; None while it does not."""
        return next((each for each in self._all() if each.id == machine.id), None)

    def _all(self) -> list[Machine]:
        """Return all machines of this interchange, also one whose launch was not answered."""
        wanted = tags.run_tags(self._request.run, self._request.executor)
        return list(self._cloud.list({**wanted, tags.ROLE: tags.ROLE_INTERCHANGE}))

    def _address_of(self, machine: Machine) -> str:
        return machine.private_address if self._settings.is_in_cloud else machine.public_address

    def _late(self, words: str) -> BlockError:
        where = self._machine.id if self._machine is not None else "?"
        return BlockError(
            f"The interchange's machine {where} {words}\nIt was not ready within startup_timeout="
            f"{self._settings.startup_timeout:g} s. Look at its security group or firewall, which must let this "
            "machine reach port 22, or set a longer startup_timeout."
        )

    def _console_of(self, machine: Machine) -> str:
        try:
            lines = self._cloud.console(machine.id).decode(errors="replace").strip().splitlines()[-10:]
        except BlockError:
            return ""
        return "\nThe last lines of its console:\n" + "\n".join(lines) if lines else ""

    def _leave_channel(self) -> None:
        channel, self._channel, self._boot_place = self._channel, None, None
        if channel is not None:
            channel.close()

    def _terminate_all(self) -> None:
        known = {self._machine.id} if self._machine is not None else set()
        try:
            known.update(each.id for each in self._all() if is_left(each))
            left = dict(self._cloud.terminate(sorted(known))) if known else {}
        except BlockError as error:
            left = dict.fromkeys(known, str(error))
        for name, why in left.items():
            logger.warning("the interchange's machine %s is not confirmed to end, and ends itself: %s", name, why)
