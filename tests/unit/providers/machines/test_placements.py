"""Stories and a random walk of the order in which placements are tried."""

from hypothesis import given
from hypothesis import strategies as st

from cnflow.model.machine import Placement, Rate
from cnflow.providers._shared.machines.placements import Placements, key_of

A, B = Placement("m1", "a"), Placement("m1", "b")
SPOT = Placement("m1", "a", is_spot=True)
OTHER = Placement("m2", "a")
ALL = [SPOT, A, B, OTHER]


def test_placements_are_tried_in_the_order_of_the_settings():
    assert Placements().order(ALL, 0.0) == ALL


def test_a_placement_without_room_is_passed_over_and_tried_again_later():
    placements = Placements()
    placements.on_no_room(A, "no m1 left in a", 0.0)
    assert placements.order(ALL, 59.0) == [SPOT, B, OTHER]
    assert "no m1 left in a (tried again in 1 s)" in placements.reasons(ALL, 59.0)
    assert placements.order(ALL, 60.0) == ALL
    assert placements.reasons(ALL, 60.0) == ""


def test_each_further_refusal_doubles_the_pause_up_to_a_quarter_of_an_hour():
    placements, now = Placements(), 0.0
    pauses = []
    for _ in range(8):
        placements.on_no_room(A, "full", now)
        start = now
        while not placements.order([A], now):
            now += 1.0
        pauses.append(now - start)
    assert pauses == [60, 120, 240, 480, 900, 900, 900, 900]


def test_a_launch_forgets_earlier_refusals():
    placements = Placements()
    placements.on_no_room(A, "full", 0.0)
    placements.on_launched(A)
    assert placements.order([A], 1.0) == [A]
    placements.on_no_room(A, "full", 2.0)
    assert placements.order([A], 62.0) == [A]


def test_a_quota_passes_over_the_type_at_its_price_in_all_zones():
    placements = Placements()
    placements.on_quota(A, "limit of 32 vCPUs", 0.0)
    assert placements.order(ALL, 1.0) == [SPOT, OTHER]


def test_a_placement_that_lost_a_machine_comes_last_and_is_never_left_out():
    placements = Placements()
    placements.on_preempted(SPOT, 0.0)
    assert placements.order(ALL, 1.0) == [A, B, OTHER, SPOT]
    assert placements.order([SPOT], 1.0) == [SPOT]
    assert placements.order(ALL, 601.0) == ALL


def test_a_machine_of_unknown_placement_that_was_taken_back_changes_nothing():
    placements = Placements()
    placements.on_preempted(Placement(""), 0.0)
    assert placements.order(ALL, 1.0) == ALL


def test_a_new_price_is_no_new_placement():
    placements = Placements()
    placements.on_no_room(A, "full", 0.0)
    assert placements.order([A._replace(rate=Rate(0.5))], 1.0) == []


EVENTS = st.lists(
    st.tuples(st.sampled_from(["on_no_room", "on_quota", "on_launched", "on_preempted", "wait"]), st.sampled_from(ALL)),
    max_size=60,
)


@given(EVENTS)
def test_whatever_happens_placements_are_offered_once_and_all_come_back(events):
    placements, now = Placements(), 0.0
    for event, placement in events:
        if event == "wait":
            now += 45.0
        elif event in {"on_no_room", "on_quota"}:
            getattr(placements, event)(placement, "full", now)
        elif event == "on_launched":
            placements.on_launched(placement)
            assert placement in placements.order(ALL, now)
        else:
            placements.on_preempted(placement, now)
        order = placements.order(ALL, now)
        assert len(set(map(key_of, order))) == len(order)
        left_out = [each for each in ALL if each not in order]
        assert len(placements.reasons(ALL, now).splitlines()) == len(left_out)
    assert placements.order(ALL, now + 901.0) == ALL
