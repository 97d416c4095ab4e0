"""Malformed messages: mutations of valid ones, and random bytes."""

import msgspec

from cnflow.model.manager_settings import PROTOCOL
from cnflow.wire import manager_messages
from cnflow.wire import messages as msg
from cnflow.wire.bulk import Chunk, Gone, Want
from cnflow.wire.function_messages import Function
from cnflow.wire.session import HEADER_BYTES

FUNCTION = Function(b"f" * 16, "f", 0, "", b"\x80")
INFO = manager_messages.ManagerInfo(PROTOCOL, "0.1.0", "3.11", "host", "9", "", 2, 1)
RESULTS = [msg.Result(1, 1, b"x"), msg.Result(2, 2, b"", 0.5, "3.11", 1), msg.Result(3, 16, b"x", frames=2)]
TASKS = [msg.Task(1, FUNCTION.id, b"x"), msg.Task(2, b"?", b"x"), msg.Task(3, FUNCTION.id, b"", "3.9", 1, 1e9)]

TO_INTERCHANGE = [
    msg.encode(message)
    for message in (
        msg.Register(INFO),
        msg.Register(INFO, {1: 0, 2: 7, 3: 0}),
        msg.Done(2, []),
        msg.Done(2**40, RESULTS),
        msg.Done(-1, RESULTS[:1]),
        msg.Heartbeat(),
        msg.Leaving("drained\nby order"),
    )
]
ABOUT_BLOBS = [
    msg.encode(message)
    for message in (
        Want(b"blob", b"", 0, 2**16),
        Want(bytes(24), b"", 2**40, 2**20),
        Want(b"blob", b"other", 0, 1),
        Chunk(b"blob", b"", 0),
        Chunk(b"blob", b"other", 7),
        Gone(b"blob", b"", "why"),
    )
]
TO_MANAGER = [
    msg.encode(message)
    for message in (
        msg.Work([FUNCTION], TASKS),
        msg.Work([], TASKS[:1]),
        msg.Work([FUNCTION], TASKS[:1], forgets=True),
        msg.Cancel({1: 0, 2: 7, 3: 0}),
        msg.RegisterAgain(),
        msg.Heartbeat(),
        msg.Refused("no"),
    )
]


def mutate(rng, valid):
    """Frames of one message: a head of *valid* with up to five mutations, and up to three random frames."""
    head = rng.choice(valid)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 5))):
        head = rng.choice(_MUTATIONS)(rng, head)
    return [head, *(rng.randbytes(rng.randrange(20)) for _ in range(rng.choice((0, 0, 0, 1, 3))))]


def put_into_session(rng, frames, session):
    """Make *frames* a message of *session*, of another one or of none; its header may be malformed, too.

    The number is never wrong, for that would be a peer that loses messages: its own tasks would wait for them.
    """
    if rng.random() < 0.1:
        return frames
    head, *attached = session.send(frames) if rng.random() < 0.7 else session.send_unnumbered(frames)
    if rng.random() < 0.1:
        place = rng.choice([*range(9), *range(17, HEADER_BYTES)])  # identity, kind or acknowledged number
        head = head[:place] + rng.randbytes(1) + head[place + 1 :]
    return [_truncate(rng, head) if rng.random() < 0.02 else head, *attached]


def _flip_bit(rng, data):
    changed = bytearray(data or b"\0")
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _truncate(rng, data):
    return data[: rng.randrange(len(data) + 1)]


def _splice(rng, data):
    place = rng.randrange(len(data) + 1)
    return data[:place] + rng.choice([*_PIECES, rng.randbytes(3)]) + data[place + rng.randrange(3) :]


def _random_bytes(rng, _):
    return rng.randbytes(rng.randrange(200))


def _replace_field(rng, data):
    """Replace one value, at any depth, and keep the message well-formed."""
    try:
        fields = msgspec.msgpack.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return data
    return msgspec.msgpack.encode(_replace_value(rng, fields))


def _replace_value(rng, value):
    if isinstance(value, list) and value and rng.random() < 0.8:
        place = rng.randrange(len(value))
        return [*value[:place], _replace_value(rng, value[place]), *value[place + 1 :]]
    return rng.choice(_VALUES)


_VALUES = [None, True, -1, 0, 1, 2**31, 2**63 - 1, -(2**63), 2**64 - 1, 1e308, float("nan"), float("inf"), ""]
_VALUES += ["x" * 999]
_VALUES += ["\x00\n", b"", b"\xff" * 99, [], [[]], {}, {"a": 1}, [1, 2, 3], ["Done", 1, []], 3, 16, 17, 18, 19]
_PIECES = [b"\xc1", b"\xd9", *(bytes([kind]) + b"\xff" * 4 for kind in (0xC6, 0xDB, 0xDD, 0xDF))]
_PIECES += [b"\x91" * 5000, b"\x81\xa1x" * 3000]
_MUTATIONS = [_flip_bit, _flip_bit, _truncate, _splice, _random_bytes, _replace_field, _replace_field, _replace_field]
