from cnflow.manager.sent_results import KEPT, SentResults
from cnflow.wire.messages import Done, Result, encode
from cnflow.wire.pipe import ResultKind


def ids(recent):
    return [result.id for result in recent.results()]


def test_what_went_well_is_told_again_and_what_failed_is_not():
    recent = SentResults()
    recent.sent(encode(Done(2, [Result(1, ResultKind.VALUE, b"x"), Result(2, ResultKind.RAISED, b"x")])))
    recent.sent(encode(Done(2, [Result(3, ResultKind.CANCELLED, b""), Result(4, ResultKind.VALUE, b"y")])))
    assert ids(recent) == ids(recent) == [1, 4]


def test_a_large_result_is_not_kept():
    recent = SentResults()
    recent.sent(encode(Done(2, [Result(1, ResultKind.VALUE, b"", frames=1), Result(2, ResultKind.VALUE, b"x")])))
    assert ids(recent) == [2]


def test_only_the_last_are_kept():
    recent = SentResults()
    for number in range(10):
        recent.sent(encode(Done(2, [Result(number, ResultKind.VALUE, bytes(KEPT // 4))])))
    assert ids(recent) == [7, 8, 9]
