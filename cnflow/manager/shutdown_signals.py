"""Feeds `Shutdown` with the process's signals and the clock; used in the manager's main thread."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING, Optional

from cnflow.manager.shutdown import Shutdown, Stage, seconds_to_block_end

if TYPE_CHECKING:
    from cnflow.model.manager_settings import ManagerSettings
    from cnflow.units import Seconds


class ShutdownWatch:
    """Reports each stage of a shutdown once.

    SIGTERM asks for an orderly end, a second one or SIGINT for an immediate one. SIGUSR1 is a batch system's notice
    that the block will end: no more tasks are accepted.

    Attributes:
        stage: the last one that `poll` returned.
        next_step_at: time to call `poll`, unless a signal makes the descriptor of `install` readable earlier.
    """

    def __init__(self, shutdown: Shutdown) -> None:
        self._shutdown = shutdown
        self._signals: list[int] = []
        self.stage = Stage.WORKING
        self.next_step_at = shutdown.next_step_at

    @classmethod
    def from_settings(cls, settings: ManagerSettings, now: Seconds) -> ShutdownWatch:
        """Return the watch of a manager that starts now, with the end of this process's block."""
        life = seconds_to_block_end(os.environ, settings.walltime, time.time())
        return cls(Shutdown(now, settings.grace_period, settings.drain_period, life))

    def install(self) -> int:
        """Install the signal handlers; return a descriptor that is readable when a signal has arrived."""
        self._wake, write = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda received, _: self._signals.append(received))
        signal.signal(signal.SIGUSR1, lambda received, _: self._signals.append(received))
        return self._wake

    def poll(self, now: Seconds) -> Optional[Stage]:
        """Return the stage that is reached now, or None if it is the one of the last call."""
        if not self._signals and now < self.next_step_at and self.stage is Stage.WORKING:
            return None
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake, 64)  # before the list is taken: an unread byte wakes the loop again
        signals, self._signals = self._signals, []
        for number in signals:
            if number == signal.SIGUSR1:
                self._shutdown.on_notice(now)
                continue
            for _ in range(2 if number == signal.SIGINT else 1):  # an immediate end
                self._shutdown.on_signal(now)
        self._shutdown.on_tick(now)
        self.next_step_at = self._shutdown.next_step_at
        before, self.stage = self.stage, self._shutdown.stage
        return None if self.stage is before else self.stage

    @property
    def life(self) -> float:
        """Seconds from the manager's start until stage CUT; infinite if no end was known then."""
        return self._shutdown.life

    def seconds_left(self, now: Seconds) -> float:
        """Seconds until stage CUT; infinite if no end is known."""
        return self._shutdown.seconds_left(now)
