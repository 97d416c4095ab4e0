import hashlib
import inspect

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnflow.model import manager_settings
from cnflow.model.manager_settings import PROTOCOL, ManagerSettings
from cnflow.wire import base, failure_bodies, manager_messages, pipe
from cnflow.wire import messages as msg
from cnflow.wire.serialization import OUT_OF_BAND, Payload


def declared(module):
    """Every message of *module* with its fields, as written in the source."""
    return [
        f"{name}({', '.join(f'{field}: {kind}' for field, kind in vars(cls).get('__annotations__', {}).items())})"
        for name, cls in inspect.getmembers(module, inspect.isclass)
        if cls.__module__ == module.__name__ and issubclass(cls, msgspec.Struct)
    ]


def test_a_change_to_the_messages_raises_the_protocol_number():
    records = [f"{kind.name}={kind.value}" for kind in [*pipe.ResultKind, *pipe.ToWorker]]
    everything = "\n".join(
        [
            *declared(base),
            *declared(msg),
            *declared(failure_bodies),
            *declared(manager_messages),
            *declared(manager_settings),
            *records,
        ]
    )
    digest = hashlib.sha256(everything.encode()).hexdigest()[:12]
    assert (PROTOCOL, digest) == (13, "7e1c82695ad2"), (
        "raise PROTOCOL in model/manager_settings.py, then write both here"
    )


@given(st.lists(st.tuples(st.binary(max_size=20), st.lists(st.binary(max_size=5), max_size=3)), max_size=6))
def test_tasks_and_their_frames_are_paired_as_they_were_sent(content):
    parcels = [
        msg.task_parcel(n, b"f", Payload(body or b"x", tuple(memoryview(b) for b in buffers)))
        for n, (body, buffers) in enumerate(content)
    ]
    heads, attached = msg.detach_frames(parcels)
    work = msg.decode_to_manager(msg.encode(msg.Work([], heads)))
    paired = msg.attach_frames(work.tasks, attached)
    assert [list(msg.payload_parts(*parcel)) for parcel in paired] == [
        list(msg.payload_parts(*parcel)) for parcel in parcels
    ]


def test_a_large_body_travels_beside_its_head():
    head, frames = msg.task_parcel(1, b"f", Payload(b"x" * OUT_OF_BAND))
    assert (head.body, head.frames, len(frames)) == (b"", 1, 1)


def test_frames_that_are_missing_or_too_many_are_an_error():
    with pytest.raises(ValueError, match="0 arrived"):
        msg.attach_frames([msg.Task(1, b"f", b"", "", 2)], [])
    with pytest.raises(ValueError, match="1 arrived"):
        msg.attach_frames([msg.Task(1, b"f", b"x")], [b"stray"])


def test_garbage_is_refused_by_every_decoder():
    for decode in (
        msg.decode_to_interchange,
        msg.decode_from_manager,
        msg.decode_to_manager,
        msg.decode_to_driver,
        failure_bodies.decode_worker_lost,
        failure_bodies.decode_timed_out,
    ):
        with pytest.raises(msgspec.MsgspecError):
            decode(b"\x93garbage")


def test_settings_come_back_from_their_file_as_they_were():
    sent = ManagerSettings(hosts=("a",), endpoint="tcp://{host}:1", executor="x", block="0", max_workers=3)
    assert ManagerSettings.from_json(sent.to_json()) == sent
