"""Part of the tasks that each of several providers sees: stories, and walks of thousands of steps."""

import math
import random

import pytest

from cnflow.blocks import Demand
from cnflow.blocks.several.pace import Source, StartPace, TaskPace, wait_for_last
from cnflow.blocks.several.shares import Shares, Situation


def provider(label="a", **options):
    values = {"slots": 0, "coming": 0, "room": 4, "slots_per_block": 1, "parallelism": 1.0, "starts_in": 0.0}
    return Situation(label, **{**values, "connections": 0, **options})


def tasks(count, finished=0):
    return Demand(count, count, finished, count)


def divided(shares, demand, *providers, now=0.0):
    return [share.tasks for share in shares.divide(demand, providers, now)]


def test_first_provider_is_filled_before_the_next_is_asked():
    shares = Shares(spill_after=60, hedge=1)
    assert divided(shares, tasks(3), provider("a"), provider("b")) == [3, 0]


def test_tasks_that_would_wait_too_long_spill_to_the_next():
    shares = Shares(spill_after=60, hedge=1)
    full = provider("a", slots=4, room=0)
    assert divided(shares, tasks(10), full, provider("b"), now=0.0) == [4, 0]
    assert divided(shares, tasks(10), full, provider("b"), now=59.0) == [4, 0]
    assert divided(shares, tasks(10), full, provider("b"), now=61.0) == [4, 4]  # its room


def test_short_tasks_do_not_spill():
    shares = Shares(spill_after=60, hedge=1)
    full = provider("a", slots=4, room=0)
    for second in range(200):  # each takes a second
        assert divided(shares, tasks(100, 4 * second), full, provider("b"), now=float(second)) == [4, 0]


def test_spill_asks_for_the_slots_that_keep_the_wait_below_the_limit():
    shares = Shares(spill_after=60, hedge=1)
    full, far = provider("a", slots=4, room=0), provider("b", room=1000)
    for second in range(0, 100, 10):  # each takes ten seconds: 100 of them wait 240 s for four slots
        asked = divided(shares, tasks(100, 4 * second // 10), full, far, now=float(second))
    assert asked[1] == pytest.approx(96 * 10 / 60 - 4, abs=3)


def test_expected_start_of_a_queue_beyond_the_limit_spills():
    shares = Shares(spill_after=60, hedge=1)
    queued = provider("slurm", coming=2, room=2, starts_in=3600.0)
    assert divided(shares, tasks(2), queued, provider("ec2")) == [2, 2]
    assert divided(shares, tasks(2), queued._replace(starts_in=30.0), provider("ec2"), now=1.0) == [2, 0]


def test_provider_in_trouble_is_asked_for_one_block_and_the_next_for_all():
    shares = Shares(spill_after=60, hedge=1)
    broken = provider("a", trouble="no quota", coming=3, waiting=3)
    first, second = shares.divide(tasks(3), [broken, provider("b")], 0.0)
    assert (first.tasks, second.tasks) == (1, 3)
    assert first.allowance.further == 1  # two of the blocks that were not submitted are dropped
    assert first.allowance.reason == "no quota"


def test_provider_that_is_passed_over_is_asked_for_nothing():
    shares = Shares(spill_after=60, hedge=1)
    first, second = shares.divide(tasks(3), [provider("a", passed_over="refused"), provider("b")], 0.0)
    assert (first.tasks, first.allowance.further, second.tasks) == (0, 0, 3)


def test_hedge_asks_two_and_withdraws_from_the_one_that_comes_later():
    shares = Shares(spill_after=60, hedge=2)
    assert divided(shares, tasks(2), provider("a"), provider("b"), provider("c")) == [2, 2, 0]
    slow = provider("a", coming=2, room=2)
    one_came = provider("b", slots=1, coming=1, room=2, connections=1)
    first, second, _ = shares.divide(tasks(2), [slow, one_came, provider("c")], 5.0)
    assert (first.tasks, first.allowance.withdrawn) == (1, 1)
    assert (second.tasks, second.allowance.withdrawn) == (2, 0)
    shares.on_withdrawn("a", 1, 1)
    first, *_ = shares.divide(tasks(2), [slow._replace(coming=1, room=3), one_came, provider("c")], 5.0)
    assert first.allowance.withdrawn == 0  # its pair is still to come


def test_working_blocks_of_a_later_provider_keep_their_tasks():
    shares = Shares(spill_after=60, hedge=1)
    assert divided(shares, tasks(9), provider("a", slots=4, room=0), provider("b", slots=4), now=0.0) == [4, 4]
    assert divided(shares, tasks(3), provider("a", slots=4, room=0), provider("b", slots=4), now=1.0) == [3, 0]


def test_parallelism_decides_how_many_tasks_a_block_covers():
    shares = Shares(spill_after=60, hedge=1)
    assert divided(shares, tasks(8), provider("a", parallelism=0.5, room=2), provider("b"), now=0.0)[0] == 4
    assert divided(shares, tasks(8), provider("a", parallelism=0.0, room=1), provider("b"), now=0.0) == [8, 0]


@pytest.mark.parametrize(
    ("count", "working", "coming", "seconds", "wait"),
    [
        (0, 0, [], None, 0),
        (4, 0, [], 10.0, math.inf),
        (4, 0, [Source(30.0, 4)], None, 30),
        (4, 0, [Source(30.0, 2)], None, math.inf),
        (4, 0, [Source(30.0, 2)], 10.0, 40),
        (6, 2, [], 10.0, 30),
        (6, 2, [Source(10.0, 4)], 10.0, 10),
        (6, 2, [Source(100.0, 4)], 10.0, 30),
    ],
)
def test_wait_of_the_last_task(count, working, coming, seconds, wait):
    assert wait_for_last(count, working, coming, seconds) == wait


def test_unknown_start_takes_as_long_again_as_it_has_taken():
    pace = StartPace()
    assert [pace.starts_in(0.0), pace.starts_in(40.0)] == [0.0, 40.0]
    pace.on_start(100.0)
    assert [pace.starts_in(0.0), pace.starts_in(60.0), pace.starts_in(130.0)] == [100.0, 40.0, 30.0]
    pace.on_start(200.0)
    assert pace.starts_in(0.0) == 150.0


def test_duration_of_tasks_is_learned_from_their_ends():
    pace = TaskPace()
    assert pace.seconds_per_task is None
    for second in range(0, 120, 10):
        pace.on_look(second // 10 * 4, 4.0, float(second))
    assert pace.seconds_per_task == pytest.approx(10.0)


@pytest.mark.parametrize("seed", range(20))
def test_walk_never_asks_for_more_than_there_is_room_for_and_withdraws_no_more_than_connected(seed):
    chance = random.Random(seed)
    hedge = chance.randint(1, 3)
    shares = Shares(chance.choice([0.0, 5.0, 60.0]), hedge)
    known = [provider(str(n), room=chance.randint(0, 6), slots_per_block=chance.randint(1, 3)) for n in range(3)]
    now, finished, connected, withdrawn = 0.0, 0, 0, 0
    for _ in range(2000):
        now += chance.choice([0.0, 0.1, 3.0, 100.0])
        count = chance.choice([0, 0, 1, 5, 30])
        finished += chance.randint(0, 5)
        for share, each in zip(shares.divide(tasks(count, finished), known, now), known, strict=True):
            assert 0 <= share.tasks <= count
            assert share.tasks <= each.held + each.possible
            assert 0 <= share.allowance.withdrawn <= each.coming
            assert share.tasks <= each.held or not each.passed_over
        place = chance.randrange(3)
        each = known[place]
        given = shares.divide(tasks(count, finished), known, now)[place].allowance.withdrawn
        if given:
            shares.on_withdrawn(each.label, given, each.slots_per_block)
            withdrawn += given * each.slots_per_block
            known[place] = each._replace(coming=each.coming - given, room=each.room + given)
            continue
        step = chance.choice(["ask", "connect", "end", "trouble"])
        if step == "ask" and each.room:
            known[place] = each._replace(coming=each.coming + 1, room=each.room - 1)
        elif step == "connect" and each.coming:
            connected += each.slots_per_block
            known[place] = each._replace(
                coming=each.coming - 1, slots=each.slots + each.slots_per_block, connections=each.connections + 1
            )
        elif step == "end" and each.slots:
            known[place] = each._replace(slots=each.slots - each.slots_per_block, room=each.room + 1)
        elif step == "trouble":
            known[place] = each._replace(
                trouble=chance.choice(["", "", "busy"]), passed_over=chance.choice(["", "", "", "x"])
            )
    assert withdrawn <= max(0, hedge - 1, 2) * connected
    assert hedge > 1 or withdrawn == 0
