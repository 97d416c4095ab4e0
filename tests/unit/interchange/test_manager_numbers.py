"""Short names of managers in results."""

from cnflow.interchange.manager_numbers import ManagerNumbers
from cnflow.wire.messages import Result


def test_managers_are_numbered_from_one():
    numbers = ManagerNumbers(0)
    assert [numbers.of(b"a"), numbers.of(b"b"), numbers.of(b"a")] == [1, 2, 1]


def test_an_interchange_gives_no_number_of_the_one_before():
    before, after = ManagerNumbers(0), ManagerNumbers(1)
    given = {before.of(bytes([n])) for n in range(100)}
    assert not given & {after.of(bytes([n])) for n in range(100)}


def test_results_get_the_number_of_their_manager_whatever_they_claim():
    numbers = ManagerNumbers(0)
    numbers.of(b"a")
    results = [Result(1, 1, b""), Result(2, 1, b"", manager=7)]
    numbers.write(b"b", results)
    assert [result.manager for result in results] == [2, 2]
