import random

from cnflow.serving.deadlines import SLOT, Deadlines


def test_a_deadline_is_due_once_and_at_most_a_slot_late():
    deadlines = Deadlines()
    deadlines.set("a", 5.0)
    deadlines.set("b", 1.0)
    assert deadlines.due(0.9) == []
    assert deadlines.due(1.0 + SLOT) == ["b"]
    assert deadlines.due(10.0) == ["a"]
    assert deadlines.due(20.0) == []


def test_a_deadline_moves_and_goes():
    deadlines = Deadlines()
    deadlines.set("a", 1.0)
    deadlines.set("a", 5.0)
    deadlines.set("b", 1.0)
    deadlines.clear("b")
    deadlines.clear("never set")
    assert deadlines.due(4.0) == []
    assert deadlines.due(5.1) == ["a"]


def test_calls_that_end_early_leave_nothing_behind():
    deadlines, chance = Deadlines(), random.Random(1)
    for number in range(10_000):
        deadlines.set(number, chance.uniform(0, 100))
    for number in range(10_000):
        deadlines.clear(number)
    assert (len(deadlines), deadlines.all(), len(deadlines._slots)) == (0, [], 0)


def test_random_deadlines_come_as_in_a_sorted_list():
    chance = random.Random(2)
    for _ in range(200):
        deadlines, expected, now = Deadlines(), {}, 0.0
        for step in range(50):
            call = chance.randrange(20)
            if chance.random() < 0.6:
                expected[call] = now + chance.uniform(-1, 5)
                deadlines.set(call, expected[call])
            elif chance.random() < 0.5:
                expected.pop(call, None)
                deadlines.clear(call)
            now += chance.uniform(0, 0.5)
            due = deadlines.due(now)
            for each in due:
                assert expected.pop(each) <= now, step
            assert all(at > now - SLOT for at in expected.values())
            assert len(deadlines) == len(expected)
