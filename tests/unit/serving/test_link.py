"""The link between a front and the server: calls, streams, state and failures, over a real pair of sockets."""

import asyncio
import contextlib
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnflow.serving.link.front_link import FrontLink
from cnflow.serving.link.messages import WINDOW, Orders, Piece, frame
from cnflow.serving.link.remote_service import RemoteService
from cnflow.serving.processes.loops import new_loop
from cnflow.serving.service import ModelCall, ModelStatus, Prediction, RowForm, ServingError, VersionStatus

ORDERS = Orders(b"{}", "front", 20, json_logs=False)


class Doubling:
    """Answers JSON rows with their bytes doubled, once `gate` is open."""

    def __init__(self):
        self.is_ready = True
        self.gate = asyncio.Event()
        self.gate.set()
        self.given_up = []
        self.sent = 0
        version = VersionStatus("1", 1.0, False, "ready", "", "app1:0.1", "", {"inputs": []}, 1, 0)
        self.status = {"double": ModelStatus("double", [version])}

    def models(self):
        return self.status

    async def predict(self, call):
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.given_up.append(call.request_id)
            raise
        if call.model != "double":
            details = [{"loc": [0, "x"], "msg": "wrong", "type": "wrong", "input": {1, 2}}]
            raise ServingError(f"No model {call.model}.", 404, "model_not_found", 1.5, details)
        return Prediction(call.rows * 2, "1", "sha256:0", 0.1, 0.2)

    async def stream(self, call):
        try:
            for number in range(call.row_count):
                self.sent += 1
                yield str(number).encode()
            if call.rows == b"bad":
                raise ServingError("broke", 500, "broke")
        finally:
            self.given_up.append("stream")


@contextlib.asynccontextmanager
async def linked():
    """A service, the server's end of a link to a front, and the front's."""
    service = Doubling()

    async def command(question):
        if question["ask"] == "fail":
            raise ServingError("no", 409, "refused")
        return {"got": question}

    ours, theirs = socket.socketpair()
    link = FrontLink(service, command)
    remote = await RemoteService.over(theirs)
    await link.open(ours, ORDERS)
    await remote.orders
    await asyncio.sleep(0.01)
    try:
        yield service, link, remote
    finally:
        remote.close()
        link.close()
        await asyncio.sleep(0.01)


def run(story):
    """Run *story* in the event loop that servers and fronts use."""
    loop = new_loop()
    try:
        return loop.run_until_complete(story)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def call(rows=b"[1]", count=1, model="double", **more):
    return ModelCall(model, RowForm.JSON, rows, count, **more)


async def until(condition):
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it has not happened")


def test_calls_are_answered_each_with_its_own_result():
    async def story():
        async with linked() as (_, _, remote):
            return await asyncio.gather(*(remote.predict(call(b"[%d]" % n, n)) for n in range(200)))

    answers = run(story())
    assert [answer.results for answer in answers] == [b"[%d]" % n * 2 for n in range(200)]
    assert answers[7] == Prediction(b"[7][7]", "1", "sha256:0", 0.1, 0.2)


def test_call_of_many_megabytes_is_answered():
    async def story():
        async with linked() as (_, _, remote):
            return await remote.predict(call(b"x" * 5_000_000))

    assert len(run(story()).results) == 10_000_000


def test_error_comes_with_its_status_code_and_details():
    async def story():
        async with linked() as (_, _, remote):
            await remote.predict(call(model="other"))

    with pytest.raises(ServingError, match="No model other") as caught:
        run(story())
    error = caught.value
    assert (error.status, error.code, error.retry_after) == (404, "model_not_found", 1.5)
    assert error.details[0]["loc"] == [0, "x"]


def test_state_of_the_service_is_known_to_the_front():
    async def story():
        async with linked() as (service, link, remote):
            assert remote.is_ready
            assert remote.models() == service.status
            service.is_ready = False
            link.send_state()
            await until(lambda: not remote.is_ready)

    run(story())


def test_call_that_is_cancelled_is_given_up_in_the_service():
    async def story():
        async with linked() as (service, link, remote):
            service.gate.clear()
            task = asyncio.ensure_future(remote.predict(call(request_id="r1")))
            await until(lambda: link.in_flight == 1)
            task.cancel()
            await until(lambda: service.given_up == ["r1"])
            assert link.in_flight == 0

    run(story())


def test_stream_gives_all_pieces_in_order_beyond_its_window():
    async def story():
        async with linked() as (_, _, remote):
            return [piece async for piece in remote.stream(call(count=5 * WINDOW))]

    assert run(story()) == [str(n).encode() for n in range(5 * WINDOW)]


def test_stream_to_a_slow_client_stops_at_its_window():
    async def story():
        async with linked() as (service, _, remote):
            pieces = remote.stream(call(count=10_000))
            assert await anext(pieces) == b"0"
            await asyncio.sleep(0.05)
            assert service.sent <= WINDOW + 2
            await pieces.aclose()
            await until(lambda: service.given_up == ["stream"])

    run(story())


def test_stream_that_breaks_raises_after_its_pieces():
    async def story():
        async with linked() as (_, _, remote):
            pieces = remote.stream(call(b"bad", 3))
            got = [await anext(pieces) for _ in range(3)]
            with pytest.raises(ServingError, match="broke"):
                await anext(pieces)
            return got

    assert run(story()) == [b"0", b"1", b"2"]


def test_calls_fail_in_words_when_the_server_is_gone():
    async def story():
        async with linked() as (service, link, remote):
            service.gate.clear()
            task = asyncio.ensure_future(remote.predict(call()))
            await until(lambda: link.in_flight == 1)
            link.close()
            with pytest.raises(ServingError, match="has ended") as caught:
                await task
            assert remote.has_lost_server
            assert not remote.is_ready
            with pytest.raises(ServingError, match="has ended"):
                await remote.predict(call())
            return caught.value

    error = run(story())
    assert (error.status, error.retry_after) == (503, 1.0)


def test_calls_of_a_front_that_dies_are_given_up():
    async def story():
        async with linked() as (service, link, remote):
            service.gate.clear()
            task = asyncio.ensure_future(remote.predict(call(request_id="r2")))
            await until(lambda: link.in_flight == 1)
            remote.close()
            await until(lambda: service.given_up == ["r2"])
            with pytest.raises(ServingError):
                await task

    run(story())


def test_commands_are_answered_or_refused():
    async def story():
        async with linked() as (_, _, remote):
            assert await remote.command({"ask": "status"}) == {"got": {"ask": "status"}}
            with pytest.raises(ServingError, match="no"):
                await remote.command({"ask": "fail"})

    run(story())


@given(st.lists(st.binary(max_size=300), max_size=20), st.lists(st.integers(1, 50), min_size=1, max_size=50))
def test_frames_come_whole_however_their_bytes_are_cut(contents, cuts):
    from cnflow.serving.link.frames import Frames
    from cnflow.serving.link.messages import decode_server

    data = b"".join(frame(Piece(number, content)) for number, content in enumerate(contents))
    got = []

    async def story():
        frames = Frames(lambda view: got.append(decode_server(view)), lambda: None)
        start, turn = 0, 0
        while start < len(data):
            size = cuts[turn % len(cuts)]
            frames.data_received(data[start : start + size])
            start, turn = start + size, turn + 1

    run(story())
    assert got == [Piece(number, content) for number, content in enumerate(contents)]
