"""How many bytes are on their way: a line of a given rate and length, and the window that it settles at."""

import pytest

from cnflow.wire.bulk_window import LEAST, LEAST_PIECE, LOCAL, MOST, MOST_PIECE, PROBE_PERIOD, TARGET, Window


class Line:
    """Line that carries *rate* bytes a second, after *delay* seconds; requests wait in its queue."""

    def __init__(self, rate, delay):
        self.rate, self.delay = rate, delay
        self.window = Window()
        self.now = self.free_at = 0.0
        self.on_their_way = []
        self.carried = 0
        self.waits = []

    def run(self, seconds):
        end = self.now + seconds
        while self.now < end:
            while sum(piece for _, _, piece in self.on_their_way) < self.window.size:
                self._ask()
            asked_at, self.now, piece = self.on_their_way.pop(0)
            self.waits.append((self.now, self.now - asked_at - self.delay - piece / self.rate))
            self.carried += piece
            self.window.on_piece(piece, asked_at, self.now, was_full=True)

    def _ask(self):
        piece = self.window.piece
        self.free_at = max(self.free_at, self.now) + piece / self.rate
        self.on_their_way.append((self.now, self.free_at + self.delay, piece))

    def longest_wait(self, since):
        return max(wait for moment, wait in self.waits if moment > since)


@pytest.mark.parametrize(("rate", "delay"), [(10e6, 0.001), (10e6, 0.05), (100e6, 0.02), (1e9, 0.0002), (1e9, 0.005)])
def test_line_is_used_and_pieces_do_not_wait_long(rate, delay):
    line = Line(rate, delay)
    line.run(4 * PROBE_PERIOD)
    possible = min(rate, MOST / (delay + MOST_PIECE / rate))
    assert line.carried / line.now > 0.8 * possible
    assert line.longest_wait(since=2.0) < 1.5 * TARGET + 2 * max(MOST_PIECE if rate > 5e8 else 0, LEAST) / rate


def test_slow_line_has_the_least_window_and_the_least_pieces():
    line = Line(0.5e6, 0.01)
    line.run(30)
    assert line.window.size <= LEAST
    assert line.window.piece == LEAST_PIECE


def test_window_shrinks_when_the_line_gets_slower():
    line = Line(100e6, 0.001)
    line.run(5)
    before = line.window.size
    line.rate = 5e6
    line.run(5)
    assert line.window.size < before / 4
    assert line.longest_wait(since=line.now - 1) < 0.1


def test_window_grows_again_when_the_route_gets_longer():
    line = Line(50e6, 0.001)
    line.run(5)
    line.delay = 0.2
    line.run(6 * PROBE_PERIOD)
    begin, carried = line.now, line.carried
    line.run(PROBE_PERIOD)
    assert (line.carried - carried) / (line.now - begin) > 0.6 * 50e6


def test_window_that_the_blobs_do_not_fill_does_not_grow():
    window = Window()
    for number in range(100):
        window.on_piece(LEAST_PIECE, number * 0.05, number * 0.05 + 0.001, was_full=False)
    assert window.size == Window().size


def test_probe_asks_for_one_piece_at_a_time_until_one_of_the_idle_line_arrives():
    window = Window()
    window.on_piece(MOST, 0.0, 0.01, was_full=True)
    window.on_piece(MOST, 20.0, 20.01, was_full=True)
    assert window.size == window.piece == LEAST_PIECE
    window.on_piece(LEAST_PIECE, 20.005, 20.02, was_full=True)  # was on its way before
    assert window.size == LEAST_PIECE
    window.on_piece(LEAST_PIECE, 20.03, 20.04, was_full=True)
    assert window.size > LEAST_PIECE


def test_line_within_one_machine_has_one_window_however_busy_the_machine_is():
    window = Window(is_local=True)
    for number in range(100):
        window.on_piece(MOST_PIECE, number, number + 0.5, was_full=True)
    assert window.size == LOCAL
    assert window.piece == MOST_PIECE
