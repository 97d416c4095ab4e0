import hashlib
import inspect

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnflow.model import item, manager_settings
from cnflow.model.manager_settings import PROTOCOL, ManagerSettings
from cnflow.wire import base, dial_messages, failure_bodies, function_messages, manager_messages, peer_messages, pipe
from cnflow.wire import messages as msg
from cnflow.wire.parcels import attach_frames, detach_frames
from cnflow.wire.serialization import OUT_OF_BAND, Payload


def declarations(module):
    """All messages of *module* with their fields, as written in the source."""
    return [
        f"{name}({', '.join(f'{field}: {kind}' for field, kind in vars(cls).get('__annotations__', {}).items())})"
        for name, cls in inspect.getmembers(module, inspect.isclass)
        if cls.__module__ == module.__name__ and issubclass(cls, msgspec.Struct)
    ]


def test_protocol_number_changes_with_the_messages():
    records = [f"{kind.name}={kind.value}" for kind in [*pipe.ResultKind, *pipe.ToWorker, *item.ItemForm]]
    records.append(str(item.Item.__annotations__))
    everything = "\n".join(
        [
            *declarations(base),
            *declarations(msg),
            *declarations(failure_bodies),
            *declarations(dial_messages),
            *declarations(function_messages),
            *declarations(manager_messages),
            *declarations(peer_messages),
            *declarations(manager_settings),
            *records,
        ]
    )
    digest = hashlib.sha256(everything.encode()).hexdigest()[:12]
    assert (PROTOCOL, digest) == (20, "fb9f2ef54352"), (
        "raise PROTOCOL in model/manager_settings.py, then write both here"
    )


@given(st.lists(st.tuples(st.binary(max_size=20), st.lists(st.binary(max_size=5), max_size=3)), max_size=6))
def test_frames_are_attached_to_the_tasks_that_they_were_detached_from(content):
    parcels = [
        msg.task_parcel(n, b"f", Payload(body or b"x", tuple(memoryview(b) for b in buffers)))
        for n, (body, buffers) in enumerate(content)
    ]
    heads, attached = detach_frames(parcels)
    work = msg.decode_to_manager(msg.encode(msg.Work([], heads)))
    paired = attach_frames(work.tasks, attached)
    assert [list(msg.payload_parts(*parcel)) for parcel in paired] == [
        list(msg.payload_parts(*parcel)) for parcel in parcels
    ]


def test_large_body_travels_as_a_frame():
    head, frames = msg.task_parcel(1, b"f", Payload(b"x" * OUT_OF_BAND))
    assert (head.body, head.frames, len(frames)) == (b"", 1, 1)


def test_missing_or_surplus_frames_are_an_error():
    with pytest.raises(ValueError, match="0 arrived"):
        attach_frames([msg.Task(1, b"f", b"", "", 2)], [])
    with pytest.raises(ValueError, match="1 arrived"):
        attach_frames([msg.Task(1, b"f", b"x")], [b"stray"])


def test_every_decoder_rejects_garbage():
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


def test_manager_settings_round_trip_through_their_file():
    sent = ManagerSettings(hosts=("a",), endpoint="tcp://{host}:1", executor="x", block="0", max_workers=3)
    assert ManagerSettings.from_json(sent.to_json()) == sent
