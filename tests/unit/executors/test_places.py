"""Places of managers, and outcomes that name them."""

from cnflow.executors.high_throughput.places import Places
from cnflow.executors.high_throughput.results import outcome_of
from cnflow.wire import serialization
from cnflow.wire.manager_messages import ManagerInfo
from cnflow.wire.messages import NO_FRAMES, Result
from cnflow.wire.pipe import ResultKind

INFO = ManagerInfo(14, "0.1", "3.11", "node7", "3", "app1:0.1", 2, 99, "3.11.2")


def test_a_place_has_what_registered_and_what_is_known_of_the_image():
    places = Places("run7", "htex")
    places.digest, places.image_id, places.packages = "r/app1@sha256:00", "sha256:11", "abc"
    places.add(4, b"\x01\x02", INFO)
    place = places[4]
    assert (place.run, place.executor, place.image) == ("run7", "htex", "app1:0.1")
    assert (place.digest, place.image_id, place.packages) == ("r/app1@sha256:00", "sha256:11", "abc")
    assert (place.host, place.block, place.manager, place.python) == ("node7", "3", "0102", "3.11.2")


def test_outcomes_of_values_and_failures_name_their_place():
    places = Places("run7", "htex")
    places.add(4, b"\x01", INFO)
    value = Result(1, ResultKind.VALUE, serialization.dump(5).body, 0.25, ended=9.0, manager=4)
    lost = Result(2, ResultKind.REFUSED, b"3.11 3.9 here", 0.0, ended=8.0, manager=4)
    broken = Result(3, ResultKind.VALUE, b"no pickle", 0.5, ended=7.0, manager=4)
    for result, times in ((value, (9.0, 0.25)), (lost, (8.0, 0.0)), (broken, (7.0, 0.5))):
        outcome = outcome_of(result, NO_FRAMES, str, places)
        assert outcome.place is places[4]
        assert (outcome.ended, outcome.seconds) == times


def test_the_place_of_an_unknown_manager_is_not_known():
    result = Result(1, ResultKind.VALUE, serialization.dump(5).body, manager=9)
    assert outcome_of(result, NO_FRAMES, str, Places("", "")).place is None
