import struct

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cnflow.wire import session as module
from cnflow.wire.session import HEADER_BYTES, Session, SessionError, begins_session, identity_of, new_identity


def pair(**options):
    identity = new_identity()
    return Session(identity), Session(identity, **options)


def numbered(end, *contents):
    return [end.send([content]) for content in contents]


def contents(end, messages):
    """Heads of those of *messages* that *end* passes on."""
    accepted = [end.on_received(message) for message in messages]
    return [bytes(frames[0]) for frames in accepted if frames is not None]


def due(end):
    return end.take_due() if end.is_due else []


def test_message_arrives_with_its_frames_and_without_the_header():
    near, far = pair()
    head, *frames = near.send([b"head", b"large", memoryview(b"larger")])
    assert (identity_of(head), begins_session(head), len(head)) == (near.identity, True, HEADER_BYTES + 4)
    assert [bytes(part) for part in far.on_received([head, *frames])] == [b"head", b"large", b"larger"]


def test_message_is_kept_until_it_is_acknowledged():
    near, far = pair()
    contents(far, numbered(near, b"a", b"b"))
    assert (near.unacknowledged_bytes, near.delivered) == (2, 0)
    contents(near, numbered(far, b"any"))
    assert (near.unacknowledged_bytes, near.delivered, near.unacknowledged()) == (0, 2, [])


def test_duplicate_is_dropped():
    near, far = pair()
    messages = numbered(near, b"a", b"b")
    assert contents(far, [*messages, *messages]) == [b"a", b"b"]
    assert not far.is_due


def test_messages_behind_a_gap_are_asked_for_once():
    near, far = pair()
    first, _, third, fourth = numbered(near, b"1", b"2", b"3", b"4")
    assert contents(far, [first, third]) == [b"1"]
    requests = due(far)
    assert contents(far, [fourth]) == []
    assert (len(requests), due(far)) == (1, [])
    assert contents(near, requests) == []
    assert contents(far, due(near)) == [b"2", b"3", b"4"]


def test_lost_tail_shows_at_the_next_heartbeat():
    near, far = pair()
    numbered(near, b"lost")
    assert contents(far, [near.send_unnumbered([b"beat"])]) == [b"beat"]
    contents(near, due(far))
    assert contents(far, due(near)) == [b"lost"]


def test_request_that_was_lost_is_repeated_at_the_next_heartbeat():
    near, far = pair()
    numbered(near, b"lost")
    contents(far, [near.send_unnumbered([b"beat"])])
    due(far)  # lost, too
    contents(far, [near.send_unnumbered([b"beat"])])
    contents(near, due(far))
    assert contents(far, due(near)) == [b"lost"]


def test_both_ends_send_again_what_a_broken_connection_lost():
    near, far = pair()
    contents(far, numbered(near, b"1"))
    numbered(near, b"2")
    numbered(far, b"one")
    near.on_disconnected()
    assert numbered(near, b"3") == [[]], "what is sent while no connection is there is only kept"
    near.on_connected()
    assert contents(far, due(near)) == []
    answers = due(far)
    assert contents(near, answers) == [b"one"]
    assert contents(far, due(near)) == [b"2", b"3"]
    assert contents(far, numbered(near, b"4")) == [b"4"]


def test_session_stays_closed_until_the_other_end_answers():
    near, far = pair()
    near.on_connected()
    assert (near.is_open, near.send([b"kept"]), near.send_unnumbered([b"beat"])) == (False, [], [])
    contents(far, due(near))
    contents(near, due(far))
    assert (near.is_open, contents(far, due(near))) == (True, [b"kept"])


def test_message_sent_over_a_new_connection_before_the_answer_is_not_asked_for_twice():
    near, far = pair()
    numbered(far, b"lost")
    near.on_connected()
    resume = due(near)
    early = numbered(far, b"early")
    contents(far, resume)
    assert contents(near, [*early, *due(far)]) == [b"lost", b"early"]
    assert due(near) == []


def test_owner_acknowledges_what_it_has_passed_on():
    near, far = pair(acknowledges_received=False)
    contents(far, numbered(near, b"1", b"2"))
    contents(near, [far.send_unnumbered([b"beat"])])
    assert near.delivered == 0
    far.acknowledge(1)
    contents(near, [far.send_unnumbered([b"beat"])])
    assert near.delivered == 1
    far.acknowledge(2, at_once=True)
    contents(near, due(far))
    assert near.unacknowledged() == []


def test_resumed_session_does_not_repeat_what_was_received_but_not_acknowledged():
    near, far = pair(acknowledges_received=False)
    contents(far, numbered(near, b"1"))
    numbered(near, b"2")
    near.on_connected()
    contents(far, due(near))
    contents(near, due(far))
    assert len(repeated := due(near)) == 1
    assert contents(far, repeated) == [b"2"]
    assert len(near.unacknowledged()) == 2


@pytest.mark.parametrize(
    "messages", [[b"x"] * module._ACKNOWLEDGE_MESSAGES, [b"x" * module._ACKNOWLEDGE_BYTES]], ids=["many", "large"]
)
def test_end_that_sends_nothing_acknowledges_after_many_bytes_or_messages(messages):
    near, far = pair()
    contents(far, numbered(near, *messages))
    contents(near, due(far))
    assert (near.unacknowledged_bytes, due(far)) == (0, [])


def test_few_small_messages_are_acknowledged_with_the_next_message_only():
    near, far = pair()
    contents(far, numbered(near, b"1", b"2"))
    assert not far.is_due


def test_end_acknowledges_at_once_on_request():
    near, far = pair()
    contents(far, numbered(near, b"1"))
    near.request_acknowledgement()
    assert contents(far, due(near)) == []
    contents(near, due(far))
    assert (near.delivered, due(near), due(far)) == (1, [], [])


def test_session_is_full_while_much_is_unacknowledged():
    near, far = pair()
    message = near.send([b"head", bytes(module.MAX_KEPT)])
    assert near.is_full
    far.on_received(message)
    contents(near, due(far))
    assert not near.is_full


def test_late_answer_of_an_earlier_connection_does_no_harm():
    near, far = pair()
    near.on_connected()
    contents(far, due(near))
    late = due(far)
    contents(near, late)
    contents(far, numbered(near, b"1", b"2"))
    contents(near, [far.send_unnumbered([b"beat"])])
    assert contents(near, late) == []
    assert contents(far, due(near)) == []


def header(end, kind, number=0, acknowledged=0, rest=b""):
    return [struct.pack("<8sBQQ", end.identity, kind, number, acknowledged) + rest]


def test_messages_that_no_session_sends_are_errors():
    near, far = pair()
    for message in (
        [near.identity],
        header(near, 1, 1, acknowledged=1),
        header(near, 2),
        header(near, 3, rest=struct.pack("<Q", 1)),
        header(near, 9),
    ):
        with pytest.raises(SessionError):
            far.on_received(message)
    with pytest.raises(SessionError):
        identity_of(b"short")
    assert (contents(far, numbered(near, b"1")), far.delivered) == ([b"1"], 0)


class BadNetwork(RuleBasedStateMachine):
    """Two ends, and connections that break, lose suffixes, and deliver late or twice after the next one is there."""

    def __init__(self):
        super().__init__()
        self.ends = pair(acknowledges_received=False)
        self.sent = ([], [])
        self.arrived = ([], [])
        self.wires = ([], [])
        """Messages on their way to the end of that number, over the connection that is there."""

        self.late = ([], [])
        self.is_connected = True
        self.now_moved = 0

    def put(self, sender, message):
        if message and self.is_connected:
            self.wires[1 - sender].append(message)
            self.now_moved += 1

    def put_due(self, end):
        for message in due(self.ends[end]):
            self.put(end, message)

    def accept(self, end, message):
        frames = self.ends[end].on_received(message)
        if frames is not None and bytes(frames[0]) != b"beat":
            self.arrived[end].append(bytes(frames[0]))
        if end == 0:
            self.ends[0].acknowledge(self.ends[0].received)
        self.put_due(end)

    @rule(sender=st.integers(0, 1), count=st.integers(1, 5))
    def send(self, sender, count):
        for _ in range(count):
            self.sent[sender].append(b"%d" % len(self.sent[sender]))
            self.put(sender, self.ends[sender].send([self.sent[sender][-1]]))

    @rule(sender=st.integers(0, 1))
    def heartbeat(self, sender):
        self.put(sender, self.ends[sender].send_unnumbered([b"beat"]))

    @rule(receiver=st.integers(0, 1), count=st.integers(1, 8))
    def deliver(self, receiver, count):
        for _ in range(min(count, len(self.wires[receiver]))):
            self.accept(receiver, self.wires[receiver].pop(0))

    @rule(receiver=st.integers(0, 1), kept=st.integers(0, 3))
    def lose_suffix(self, receiver, kept):
        del self.wires[receiver][kept:]

    @rule(share=st.integers(1, 8))
    def acknowledge(self, share):
        self.ends[1].acknowledge(self.ends[1].received * share // 8, at_once=share == 8)
        self.put_due(1)

    @precondition(lambda self: self.is_connected)
    @rule(late=st.tuples(st.integers(0, 9), st.integers(0, 9)))
    def break_connection(self, late):
        for wire, pool, count in zip(self.wires, self.late, late, strict=True):
            pool.extend(wire[:count])
            wire.clear()
        self.is_connected = False
        self.ends[0].on_disconnected()

    @precondition(lambda self: not self.is_connected)
    @rule()
    def connect(self):
        self.is_connected = True
        self.ends[0].on_connected()
        self.put_due(0)

    @rule(receiver=st.integers(0, 1), place=st.integers(0, 9), is_twice=st.booleans())
    def deliver_late(self, receiver, place, is_twice):
        pool = self.late[receiver]
        if place < len(pool):
            self.accept(receiver, pool[place] if is_twice else pool.pop(place))

    @invariant()
    def arrived_in_order_and_once(self):
        for sender in (0, 1):
            arrived = self.arrived[1 - sender]
            assert arrived == self.sent[sender][: len(arrived)]

    @invariant()
    def all_that_did_not_arrive_is_kept(self):
        for sender in (0, 1):
            end = self.ends[sender]
            kept = [bytes(frames[0]) for frames in end.unacknowledged()]
            assert kept == self.sent[sender][end.delivered :]
            assert end.delivered <= len(self.arrived[1 - sender])
            assert end.unacknowledged_bytes == sum(map(len, kept))

    def teardown(self):
        """A quiet network delivers everything within a few rounds, without a storm of repetitions."""
        if not self.is_connected:
            self.connect()
        self.deliver_all()
        self.now_moved = 0
        missing = sum(len(self.sent[n]) - len(self.arrived[1 - n]) for n in (0, 1))
        for _ in range(3):
            self.ends[1].acknowledge(self.ends[1].received)
            self.heartbeat(0)
            self.heartbeat(1)
            self.deliver_all()
        if not self.ends[0].is_open:  # the answer to RESUME was lost without a break: silence ends that connection
            self.break_connection((0, 0))
            self.connect()
            self.deliver_all()
            for _ in range(2):
                self.ends[1].acknowledge(self.ends[1].received)
                self.heartbeat(0)
                self.heartbeat(1)
                self.deliver_all()
        assert self.arrived == (self.sent[1], self.sent[0])
        assert [end.unacknowledged_bytes for end in self.ends] == [0, 0]
        assert self.now_moved <= 3 * missing + 30

    def deliver_all(self):
        while any(self.wires):
            self.deliver(0, 1000)
            self.deliver(1, 1000)


BadNetwork.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestBadNetwork = BadNetwork.TestCase
