"""Life of an interchange as its driver sees it. No I/O: `interchange_client` starts, connects and kills.

::

              START                                    HEARTBEAT, each tick
    waiting ─────────> launched ── first message ──> up <──┐
      ^  ^               │                           │ └───┘
      │  │               │ KILL: silent for `START_TIMEOUT`, for a part of the threshold once it was up
      │  │               v                           v
      │  │ back-off    ended <────── dies ───────────┘
      │  └───────────────┤
      │ ATTACH, back-off │  only the connection ended (an interchange elsewhere, with a grace)
      └──────────────────┘
                         └── GIVE_UP: before it was ever up, unless its machine was reached before (`was_reached`);
                             after `MOST_RESTARTS` in `RESTART_WINDOW`; connection not made again for the grace

Silence is counted in ticks of this process, each after a look at the socket: a driver that was stopped itself (SIGSTOP,
the lid of a laptop) has missed no more than one. Managers, which get no message of a frozen interchange either, end
after the threshold, and its successor must be there before: a child is killed after half of the threshold; a connection
with an interchange elsewhere is made again after a third, and if that answers nothing, it is replaced after a half.
"""

from __future__ import annotations

import enum
import math
from collections import deque

from cnflow.units import Seconds

MOST_RESTARTS = 5
"""Restarts within `RESTART_WINDOW`."""

RESTART_WINDOW = Seconds(60.0)
START_TIMEOUT = Seconds(30.0)
"""Time from the start of the process to its first message; Python starts slowly on a shared file system."""

_SHORTEST_SILENCE = Seconds(2.0)
"""Silence that is always borne: a busy machine may let a process wait that long."""

_RESTART_DELAYS = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Seconds before each of the restarts within the window: the first at once, later ones may outlast their cause."""

_ATTACH_DELAYS = (0.0, 0.1, 0.5, 1.0, 2.0, *12 * (5.0,), 15.0)
"""Seconds before each attempt to make a lost connection again; the last for all further ones."""


class Order(enum.Enum):
    """Order of the machine to its owner."""

    START = enum.auto()
    """Start a new interchange, in the place of one that may live and be frozen."""

    ATTACH = enum.auto()
    """Connect again with the interchange that lives elsewhere."""

    KILL = enum.auto()
    """Kill the process that was started; `on_ended` follows."""

    HEARTBEAT = enum.auto()
    """Send a heartbeat if nothing else was sent since the last one was due."""

    GIVE_UP = enum.auto()
    """Report the interchange as lost."""


class InterchangeLife:
    """State of one interchange and its successors; the module has a picture.

    Args:
        period: of heartbeats.
        threshold: of managers' silence.
        grace: seconds that an interchange elsewhere lives without its driver; 0 if it ends with its connection.
        was_reached: its machine was reached before the first start, whose failure may be that of a connection.

    Attributes:
        due: moment of the next `on_tick`.
        restarts: interchanges that were started after the first.
        is_up: messages pass.
    """

    def __init__(
        self,
        period: Seconds,
        threshold: Seconds,
        grace: Seconds = Seconds(0.0),  # noqa: B008 - a float
        *,
        was_reached: bool = False,
    ) -> None:
        self._period = period
        self._tick = Seconds(min(period / 2, threshold / 16))
        self._threshold = threshold
        self._grace = grace
        self._was_reached = was_reached
        self.due = Seconds(math.inf)
        self.restarts = 0
        self.is_up = False
        self._was_up = False
        """The present interchange has sent a message, over this connection or one before."""

        self._is_greeted = False
        """Its connection stands; only the interchange itself is waited for."""

        self._silent_ticks = 0
        self._silences = 0
        """Times that it was killed for its silence since its last message."""

        self._next = Order.START
        self._is_waiting = False
        self._moments: deque[Seconds] = deque(maxlen=MOST_RESTARTS)
        self._detached_at = Seconds(math.nan)
        self._attempts = 0
        """Attempts to make the connection again since its last message."""

    @property
    def can_attach(self) -> bool:
        """An interchange may live elsewhere, without a connection."""
        return self._grace > 0 and self._was_up

    @property
    def is_attaching(self) -> bool:
        """The connection is lost, and is made again when `due`."""
        return self._is_waiting and self._next is Order.ATTACH

    def on_launched(self, now: Seconds) -> None:
        """Record that a process was started, as ordered."""
        self._is_waiting = self.is_up = self._is_greeted = False
        if self._next is Order.START:
            self._was_up = False
        self._silent_ticks = 0
        self.due = Seconds(now + self._tick)

    def on_greeted(self) -> None:
        """Record that the connection with an interchange elsewhere stands."""
        self._is_greeted = True
        self._silent_ticks = 0

    def on_message(self) -> None:
        """Record a message of the interchange."""
        self.is_up = self._was_up = True
        self._silent_ticks = self._silences = self._attempts = 0

    def on_ended(self, now: Seconds, *, is_gone: bool) -> Order | None:
        """Decide what follows the end of the process; None waits until `due`.

        Args:
            now: the moment.
            is_gone: the interchange itself has ended, not just the connection.
        """
        was_first = not (self._was_up or self._is_greeted or self.restarts)
        self.is_up = False
        self._is_waiting = True
        if was_first:  # the cause would stop the next one, too
            return self._restart(now) if self._was_reached else self._give_up()
        if self._grace and not is_gone and self._silences < 2:  # noqa: PLR2004 - the connection, then the interchange
            return self._attach(now)
        return self._restart(now)

    def on_tick(self, now: Seconds) -> Order | None:
        """Decide what is due. The socket was read right before."""
        if self._is_waiting:
            self.due = Seconds(math.inf)
            return self._next
        self.due = Seconds(now + self._tick)
        self._silent_ticks += 1
        if self._silent_ticks * self._tick <= self._longest_silence():
            return Order.HEARTBEAT
        self._silent_ticks = 0
        if self._is_greeted:
            self._silences += 1
        return Order.KILL

    def _longest_silence(self) -> float:
        if self.is_up:
            share = 3 if self._grace else 2  # a connection that is made again needlessly costs little
            return max(self._threshold / share, self._period, _SHORTEST_SILENCE)
        if self._is_greeted and self._was_up:  # it has only to resume, and its managers wait
            return max(self._threshold / 6, _SHORTEST_SILENCE)
        return START_TIMEOUT

    def _restart(self, now: Seconds) -> Order | None:
        while self._moments and now - self._moments[0] >= RESTART_WINDOW:
            self._moments.popleft()
        if len(self._moments) == MOST_RESTARTS:
            return self._give_up()
        delay = min(_RESTART_DELAYS[len(self._moments)], self._threshold / 8)
        self._moments.append(now)
        self.restarts += 1
        self._attempts = self._silences = 0
        self._next = Order.START
        self.due = Seconds(now + delay)
        return None

    def _attach(self, now: Seconds) -> Order | None:
        if not self._attempts:
            self._detached_at = now
        if now - self._detached_at > self._grace:
            return self._give_up()
        self.due = Seconds(now + _ATTACH_DELAYS[min(self._attempts, len(_ATTACH_DELAYS) - 1)])
        self._attempts += 1
        self._next = Order.ATTACH
        return None

    def _give_up(self) -> Order:
        self.due = Seconds(math.inf)
        return Order.GIVE_UP
