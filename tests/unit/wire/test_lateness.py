from cnflow.wire.lateness import Lateness


def test_turn_that_begins_when_it_is_due_or_earlier_is_not_late():
    lateness = Lateness(0.0)
    assert [lateness.on_turn(now, due) for now, due in [(1.0, 15.0), (15.2, 15.0), (15.3, 10.0)]] == [0.0, 0.0, 0.0]


def test_time_in_which_the_process_was_stopped_is_late():
    lateness = Lateness(0.0)
    assert lateness.on_turn(100.0, 15.0) == 85.0
    assert lateness.on_turn(101.0, 115.0) == 0.0


def test_long_turn_after_an_early_message_is_late():
    lateness = Lateness(0.0)
    lateness.on_turn(10.0, 3.0)
    assert lateness.on_turn(14.0, 3.0) == 4.0, "the deadline had passed before the last turn began"


def test_long_turns_of_a_loop_with_long_heartbeats_are_not_late():
    """Otherwise each turn counted as time in which nobody could be heard, and no silence was ever too long."""
    lateness = Lateness(0.0, period=30.0)
    assert [lateness.on_turn(0.3 * turn, 0.0) for turn in range(1, 50)] == [0.0] * 49
    assert lateness.on_turn(60.0, 15.0) == 45.0
