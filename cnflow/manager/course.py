"""Follows a manager's `Ending`, as time passes and signals arrive."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING, Optional

from cnflow.manager.ending import Ending, Stage, life_of_block

if TYPE_CHECKING:
    from cnflow.model.settings import ManagerSettings
    from cnflow.units import Seconds


class Course:
    """Where the manager is on its way; to be used in its main thread."""

    def __init__(self, ending: Ending) -> None:
        self._ending = ending
        self._signals: list[int] = []
        self.stage = Stage.WORKING
        self.next_step = ending.next_at

    @classmethod
    def of(cls, settings: ManagerSettings, now: Seconds) -> Course:
        """Of a manager that begins now."""
        life = life_of_block(os.environ, settings.walltime, time.time())
        return cls(Ending(now, settings.grace_period, settings.drain_period, life))

    def listen(self) -> int:
        """Hear signals from now on; returns a descriptor that is readable when there is one to follow."""
        self._wake, write = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda signalled, _: self._signals.append(signalled))
        return self._wake

    def step(self, now: Seconds) -> Optional[Stage]:
        """The stage that is reached now, if it is another than before."""
        if not self._signals and now < self.next_step and self.stage is Stage.WORKING:
            return None
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake, 64)  # before they are taken: what is not read wakes the loop again
        signals, self._signals = self._signals, []
        for _ in range(len(signals) + (signal.SIGINT in signals)):  # that one means at once
            self._ending.signalled(now)
        self._ending.passed(now)
        self.next_step = self._ending.next_at
        before, self.stage = self.stage, self._ending.stage
        return None if self.stage is before else self.stage

    def left(self, now: Seconds) -> float:
        """Seconds until all is over."""
        return self._ending.left(now)
