from cnflow.manager.sent_results import MAX_BYTES, SentResults
from cnflow.wire.messages import Done, Result, encode
from cnflow.wire.pipe import ResultKind


def ids(sent):
    return [result.id for result in sent.values()]


def test_values_are_sent_again_and_failures_are_not():
    sent = SentResults()
    sent.add(encode(Done(2, [Result(1, ResultKind.VALUE, b"x"), Result(2, ResultKind.RAISED, b"x")])))
    sent.add(encode(Done(2, [Result(3, ResultKind.CANCELLED, b""), Result(4, ResultKind.VALUE, b"y")])))
    assert ids(sent) == ids(sent) == [1, 4]


def test_a_large_result_is_not_kept():
    sent = SentResults()
    sent.add(encode(Done(2, [Result(1, ResultKind.VALUE, b"", frames=1), Result(2, ResultKind.VALUE, b"x")])))
    assert ids(sent) == [2]


def test_the_oldest_results_are_dropped():
    sent = SentResults()
    for number in range(10):
        sent.add(encode(Done(2, [Result(number, ResultKind.VALUE, bytes(MAX_BYTES // 4))])))
    assert ids(sent) == [7, 8, 9]
