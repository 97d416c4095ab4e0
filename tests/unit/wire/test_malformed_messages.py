"""Any bytes are a message, or raise one of the errors that the loops catch (`messages.MALFORMED`)."""

import contextlib
import pickle

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnflow.interchange.recovery import Predecessor, RecoveringInterchange
from cnflow.interchange.state import Interchange
from cnflow.manager.prefetch import Prefetch
from cnflow.manager.state import Manager
from cnflow.wire import manager_messages
from cnflow.wire import messages as msg
from cnflow.wire.failure_bodies import enforce_size_limit
from cnflow.wire.function_messages import Function
from cnflow.wire.parcels import attach_frames, detach_frames
from cnflow.wire.pipe import ResultKind

DECODERS = [msg.decode_to_interchange, msg.decode_from_manager, msg.decode_to_manager, msg.decode_to_driver]
NAMES = ["Register", "Done", "Heartbeat", "Leaving", "Work", "Cancel", "RegisterAgain", "Results"]
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(), inner, max_size=3)
)
MESSAGES = st.tuples(st.sampled_from(NAMES), st.lists(VALUES, max_size=4)).map(
    lambda parts: msgspec.msgpack.encode([parts[0], *parts[1]])
)
RESULTS = st.lists(
    st.tuples(st.integers(-1, 3), st.integers(-9, 99), st.binary(), st.floats(), st.text(), st.integers(-2, 3))
)
DONE = st.tuples(st.integers(-(2**63), 2**63 - 1), RESULTS).map(lambda parts: msgspec.msgpack.encode(["Done", *parts]))


@given(st.binary() | MESSAGES)
def test_decoders_raise_no_other_error(data):
    for decode in DECODERS:
        with contextlib.suppress(*msg.MALFORMED):
            decode(data)


@pytest.mark.parametrize("decode", DECODERS)
def test_deeply_nested_message_is_malformed(decode):
    with pytest.raises(msg.MALFORMED):
        decode(b"\x94\xa4Done\x01\x90" + b"\x91" * 200_000)


@given(DONE, st.lists(st.binary(max_size=3), max_size=4))
@settings(max_examples=300)
def test_driver_can_decode_all_results_that_the_interchange_forwards(data, attached):
    info = manager_messages.ManagerInfo(1, "", "", "", "0", "", 2, 1)
    recovering = RecoveringInterchange(1, 1, 9, Predecessor(["0"], {b"a": "0"}, {}), 0)
    recovering.on_resubmitted([], [])
    for state in (Interchange(1, 1, 9, ["0"]), recovering):
        state.on_submitted([Function(b"f", "f", 0, "", b"")], [(msg.Task(n, b"f", b""), ()) for n in range(2)])
        state.on_registered(b"a", info, 0)
        state.on_results(b"a", 2, [], 0)
        state.dispatch(0)
        try:
            done = msg.decode_from_manager(data)
            actions = state.on_results(b"a", done.window, attach_frames(done.results, attached), 1)
        except msg.MALFORMED:
            continue
        for action in actions:
            heads, frames = detach_frames(action.results)
            forwarded = msg.decode_to_driver(msg.encode(msg.Results(heads)))
            assert len(attach_frames(forwarded.results, frames)) == len(heads) <= 2
        assert len(state.dispatch(1)) <= 1


def test_negative_frame_count_is_malformed_although_the_sum_is_right():
    for counts, attached in (((-1, 2), [b"x"]), ((-1, 1), [])):
        heads = [[n, 1, b"", 0.0, "", count] for n, count in enumerate(counts)]
        with pytest.raises(msg.MALFORMED):
            attach_frames(msg.decode_from_manager(msgspec.msgpack.encode(["Done", 2, heads])).results, attached)


def test_task_without_its_function_is_malformed():
    with pytest.raises(msg.MALFORMED):
        Manager(1, Prefetch(0), "3.11", "here").on_work([], [(msg.Task(1, b"f", b""), ())])


def test_oversized_result_is_replaced_by_an_error():
    kept, cut = (enforce_size_limit((msg.Result(1, ResultKind.VALUE, b"", frames=1), [b"x" * n]), 10) for n in (10, 11))
    assert kept[0].kind == ResultKind.VALUE
    assert (cut[0].kind, cut[1]) == (ResultKind.UNPICKLABLE, ())
    assert b"11 bytes" in cut[0].body


def test_control_messages_are_not_pickles():
    """Messages are MessagePack, and a pickle of any protocol is malformed."""
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        data = pickle.dumps(("Heartbeat",), protocol)
        for decode in DECODERS:
            with pytest.raises(msg.MALFORMED):
                decode(data)
    assert msgspec.msgpack.decode(msg.encode(msg.Heartbeat())) == ["Heartbeat"]


@pytest.mark.parametrize("field", ["life", "left"])
@pytest.mark.parametrize("seconds", [float("nan"), -1.0])
def test_time_that_has_no_place_in_an_order_is_malformed(field, seconds):
    """A manager whose block ends at NaN is found by no bisection again: its removal ended the interchange."""
    node = manager_messages.Node(**{field: seconds})
    info = manager_messages.ManagerInfo(14, "0", "3.11", "h", "0", "", 1, 1, "", node)
    with pytest.raises(msg.MALFORMED):
        msg.decode_from_manager(msg.encode(msg.Register(info)))


def test_run_time_that_is_no_number_is_malformed():
    result = msg.Result(1, ResultKind.VALUE, b"", float("nan"))
    with pytest.raises(msg.MALFORMED):
        msg.decode_from_manager(msg.encode(msg.Done(1, [result])))
