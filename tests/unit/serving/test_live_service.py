import asyncio
import json

import pytest

from cnflow.config.serving import ServeConfig, VersionConfig
from cnflow.errors import (
    AppTimeout,
    BlockRejectedError,
    ConfigurationError,
    ExecutorClosedError,
    InterchangeLostError,
    InvalidRowsError,
    ManagerLost,
    PredictModuleError,
    WorkerLost,
)
from cnflow.serving.live_service import LiveService
from cnflow.serving.service import ModelCall, RowForm, ServingError
from cnflow.tasks.models import STREAM
from cnflow.testing import FakeClock
from tests.unit.serving.world import FakeExecutor, World, run, settle

TWO = {
    "versions": [
        {"version": "1", "module": "app1", "weight": 3},
        {"version": "2", "module": "app2", "weight": 1},
    ]
}


@run
async def test_a_call_is_answered_by_a_worker():
    async with World() as world:
        answer = world.call(b"[[1, 2]]", apart="tenant", options={"top": 3})
        (sent,) = await world.sent(1)
        assert sent.args == (1, b"[[1, 2]]", {"top": 3})
        assert sent.batch == (1, "tenant", False)
        assert sent.app.name == "digits@1"
        world.clock.advance(0.5)
        world.direct.end(sent, b"[7]", seconds=0.2)
        prediction = await answer
        assert (prediction.results, prediction.version) == (b"[7]", "1")
        assert prediction.queue_seconds == pytest.approx(0.3)
        assert world.versions["1"].in_flight == 0


@run
async def test_a_model_is_loaded_before_the_server_is_ready():
    world = World()
    world.direct.answers_warm_ups = False
    assert not world.service.is_ready
    async with world:
        assert not world.service.is_ready
        assert world.versions["1"].state == "loading"
        (warm_up,) = await world.sent(1)
        assert warm_up.args == (1, b"[]")
        world.direct.end(warm_up, b"[]")
        await settle()
        assert world.service.is_ready
        assert world.versions["1"].state == "ready"


@run
async def test_example_rows_are_predicted_before_the_first_call():
    world = World({"module": "app1", "version": "1", "example": [[1.5], [2]]})
    world.direct.answers_warm_ups = False
    async with world:
        (warm_up,) = await world.sent(1)
        assert json.loads(warm_up.args[1]) == [[1.5], [2]]
        assert warm_up.batch.rows == 2


@run
async def test_as_many_workers_as_wanted_load_the_model_first():
    world = World({"module": "app1", "version": "1", "warm": 3})
    async with world:
        await world.later(1)
        assert world.versions["1"].reason == "1 of 3 workers have loaded it"
        assert not world.service.is_ready
        world.direct.workers = 3
        await world.later(1)
        assert world.service.is_ready


@run
async def test_a_model_that_fails_to_load_is_loaded_again_later():
    world = World()
    world.direct.answers_warm_ups = False
    async with world:
        (warm_up,) = await world.sent(1)
        world.direct.end(warm_up, error=PredictModuleError("no module 'app1' is found"))
        await settle()
        assert world.versions["1"].state == "failed"
        with pytest.raises(ServingError, match="no module 'app1'"):
            await world.call()
        world.direct.answers_warm_ups = True
        await world.later(31)
        assert world.versions["1"].state == "ready"


@run
async def test_a_warm_up_that_is_lost_is_tried_again():
    world = World()
    world.direct.answers_warm_ups = False
    async with world:
        for _ in range(3):
            (warm_up,) = await world.sent(1)
            world.direct.end(warm_up, error=ManagerLost("silent"))
            await world.later(1)
        assert world.versions["1"].state == "loading"


@run
async def test_unknown_models_and_versions_are_404_with_the_nearest_name():
    async with World() as world:
        with pytest.raises(ServingError, match="Did you mean 'digits'") as unknown:
            await world.call(model="digit")
        assert (unknown.value.status, unknown.value.code) == (404, "model_not_found")
        with pytest.raises(ServingError, match="no version '2'") as unknown:
            await world.call(version="2")
        assert (unknown.value.status, unknown.value.code) == (404, "version_not_found")


@run
async def test_a_version_may_stand_in_the_name():
    async with World(TWO) as world:
        answers = [world.call(model="digits@2") for _ in range(3)]
        for sent in await world.sent(3):
            assert sent.app.name == "digits@2"
            world.direct.end(sent, b"[1]")
        assert {(await each).version for each in answers} == {"2"}


@run
async def test_calls_are_shared_by_weight():
    async with World(TWO) as world:
        for _ in range(8):
            world.call()
        await settle()
        assert (len(world.direct.of("digits@1")), len(world.direct.of("digits@2"))) == (6, 2)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ValueError("bad"), 500, "model_error"),
        (InvalidRowsError("digits", [{"loc": [0], "msg": "is no number", "type": "float"}]), 422, "invalid_rows"),
        (PredictModuleError("returned 2 results for 1 rows"), 500, "model_broken"),
        (AppTimeout("Task 1", 5.0), 504, "timeout"),
        (BlockRejectedError("no such image"), 503, "no_workers"),
        (ExecutorClosedError("the run ended"), 503, "shutting_down"),
    ],
)
def test_errors_of_a_task_have_statuses(error, status, code):
    @run
    async def story():
        async with World() as world:
            answer = world.call()
            (sent,) = await world.sent(1)
            world.direct.end(sent, error=error)
            with pytest.raises(ServingError) as failed:
                await answer
            assert (failed.value.status, failed.value.code) == (status, code)
            assert (failed.value.retry_after is not None) is (status == 503)
            assert list(failed.value.details) == getattr(error, "details", [])

    story()


@run
async def test_a_call_whose_manager_was_lost_is_answered_by_another():
    async with World(retries=3) as world:
        answer = world.call()
        for error in (ManagerLost("silent"), InterchangeLostError("died"), ManagerLost("silent")):
            (sent,) = await world.sent(1)
            world.direct.end(sent, error=error)
            await world.later(1)
        (sent,) = await world.sent(1)
        world.direct.end(sent, b"[7]")
        assert (await answer).results == b"[7]"


@run
async def test_a_call_that_is_lost_too_often_is_503():
    async with World(retries=1) as world:
        answer = world.call()
        for _ in range(2):
            (sent,) = await world.sent(1)
            world.direct.end(sent, error=ManagerLost("silent"))
            await settle()
        with pytest.raises(ServingError, match="lost 2 times") as lost:
            await answer
        assert (lost.value.status, lost.value.retry_after) == (503, 5.0)


@run
async def test_a_call_that_killed_its_worker_is_tried_alone_and_then_fails():
    async with World() as world:
        answer = world.call(apart="tenant")
        (sent,) = await world.sent(1)
        world.direct.end(sent, error=WorkerLost("Task 1", "here", -9))
        (again,) = await world.sent(1)
        assert again.batch.apart.startswith("alone")
        world.direct.end(again, error=WorkerLost("Task 2", "here", -9))
        with pytest.raises(ServingError, match="worker died") as died:
            await answer
        assert (died.value.status, died.value.code) == (500, "worker_died")


@run
async def test_a_call_that_takes_too_long_is_504_and_its_task_is_stopped():
    async with World(timeout=30) as world:
        answer, hasty = world.call(), world.call(timeout=2.0)
        first, second = await world.sent(2)
        await world.later(3)
        with pytest.raises(ServingError, match="not answered within") as late:
            await hasty
        assert (late.value.status, late.value.code) == (504, "timeout")
        assert world.direct.cancelled == [second.id]
        await world.later(28)
        assert world.direct.cancelled == [second.id, first.id]
        with pytest.raises(ServingError):
            await answer
        assert world.service.calls_now()["digits"][:2] == (0, 0)


@run
async def test_a_caller_that_goes_away_stops_its_task():
    async with World() as world:
        answer = world.call()
        (sent,) = await world.sent(1)
        answer.cancel()
        await settle()
        assert world.direct.cancelled == [sent.id]
        assert world.service.calls_now()["digits"][:2] == (0, 0)


@run
async def test_a_call_of_a_model_scaled_to_zero_waits_for_a_worker():
    async with World(timeout=5, cold_timeout=60) as world:
        await world.later(1)
        world.direct.workers, world.executors["htex"].blocks = 0, 0
        await world.later(1)
        assert world.versions["1"].state == "asleep"
        assert world.service.is_ready
        answer = world.call()
        (sent,) = await world.sent(1)
        await world.later(30)
        world.direct.workers = 1
        await world.later(2)
        assert world.versions["1"].state == "ready"
        world.direct.end(sent, b"[7]")
        assert (await answer).results == b"[7]"


@run
async def test_a_version_whose_last_block_is_lost_falls_asleep_so_that_a_call_wakes_it():
    async with World(TWO) as world:
        await world.later(1)
        world.direct.workers = 0
        await world.later(1)
        assert {each.state for each in world.versions.values()} == {"loading"}
        world.executors["htex"].blocks = 0
        await world.later(1)
        assert {each.state for each in world.versions.values()} == {"asleep"}


@run
async def test_a_cold_model_that_does_not_come_is_503_with_retry_after():
    async with World(timeout=5, cold_timeout=20) as world:
        await world.later(1)
        world.direct.workers, world.executors["htex"].blocks = 0, 0
        await world.later(1)
        answer = world.call()
        await world.later(22)
        with pytest.raises(ServingError, match="is woken") as cold:
            await answer
        assert (cold.value.status, cold.value.code, cold.value.retry_after) == (503, "model_cold", 10.0)


@run
async def test_a_version_that_is_not_warmed_up_waits_for_its_first_call():
    async with World({"module": "app1", "version": "1", "warm": 0}) as world:
        assert await world.sent(0) == []
        assert world.versions["1"].state == "asleep"
        assert world.service.is_ready
        answer = world.call()
        (sent,) = await world.sent(1)
        assert world.versions["1"].state == "loading"
        world.direct.end(sent, b"[7]")
        await answer
        assert world.versions["1"].state == "ready"


@run
async def test_calls_beyond_the_queue_are_429():
    async with World(max_concurrency=2, max_queue=1) as world:
        answers = [world.call(bytes([48 + n])) for n in range(3)]
        first, _ = await world.sent(2)
        assert world.service.calls_now()["digits"][:2] == (2, 1)
        with pytest.raises(ServingError, match="which is full") as busy:
            await world.call()
        assert busy.value.status == 429
        assert busy.value.retry_after >= 1
        world.direct.end(first, b"[7]")
        await answers[0]
        assert [sent.args[1] for sent in await world.sent(2)] == [b"1", b"2"]


@run
async def test_one_client_cannot_take_all():
    async with World(max_per_client=1) as world:
        first = world.call(client="ann")
        world.call(client="bob")
        sent, _ = await world.sent(2)
        with pytest.raises(ServingError, match="of one client") as busy:
            await world.call(client="ann")
        assert busy.value.status == 429
        world.direct.end(sent, b"[7]")
        await first
        world.call(client="ann")
        await world.sent(2)


@run
async def test_a_roll_under_load_loses_no_call():
    new = FakeExecutor("new")
    async with World(executors=(FakeExecutor(), new), keep_previous=0) as world:
        new.direct.answers_warm_ups = False
        before = [world.call() for _ in range(3)]
        await world.sent(3)
        await world.service.roll("digits", VersionConfig(version="2", module="app2", executor="new"))
        during = world.call()
        await settle()
        assert len(world.direct.of("digits@1")) == 4, "calls stay until the new version is warm"
        new.direct.end(new.direct.of("digits@2")[0], b"[]")
        await settle()
        after = world.call()
        await settle()
        (sent,) = new.direct.of("digits@2")
        assert world.versions["1"].state == "draining"
        for each in await world.sent(4):
            world.direct.end(each, b"[1]")
        new.direct.end(sent, b"[2]")
        assert [(await each).version for each in (*before, during, after)] == ["1"] * 4 + ["2"]
        assert list(world.versions) == ["2"]
        assert world.direct.prepared == []


@run
async def test_a_roll_to_a_broken_version_changes_nothing():
    async with World() as world:
        world.direct.answers_warm_ups = False
        await world.service.roll("digits", VersionConfig(version="2", module="app2"))
        (warm_up,) = await world.sent(1)
        world.direct.end(warm_up, error=PredictModuleError("no module 'app2' is found"))
        await settle()
        assert world.versions["2"].state == "failed"
        assert "app2" in world.versions["2"].reason
        world.call()
        assert [sent.app.name for sent in await world.sent(1)] == ["digits@1"]


@run
async def test_a_roll_goes_back_at_once():
    async with World() as world:
        await world.service.roll("digits", VersionConfig(version="2", module="app2"))
        await settle()
        assert world.versions["2"].weight == 1
        await world.service.roll_back("digits")
        assert (world.versions["1"].weight, world.versions["2"].weight) == (1, 0)
        with pytest.raises(ServingError, match="no earlier version"):
            await world.service.roll_back("digits")


@run
async def test_a_shadow_gets_copies_whose_errors_reach_nobody():
    async with World(TWO) as world:
        await world.service.set_weights("digits", {"1": 1})
        await world.service.set_shadow("digits", {"2": 1.0})
        answer = world.call()
        original, copy = await world.sent(2)
        assert (original.app.name, copy.app.name) == ("digits@1", "digits@2")
        assert copy.batch.is_bulk
        world.direct.end(copy, error=ValueError("bad"))
        world.direct.end(original, b"[7]")
        assert (await answer).version == "1"
        assert world.versions["2"].in_flight == 0


@run
async def test_pieces_of_a_stream_come_one_by_one():
    async with World() as world:
        stream = world.service.stream(ModelCall("digits", RowForm.JSON, b"[1]", 1))
        first = asyncio.ensure_future(anext(stream))
        (sent,) = await world.sent(1)
        assert sent.args[0] == RowForm.JSON | STREAM
        world.direct.pieces(sent, b"1", b"2")
        assert await first == b"1"
        world.direct.pieces(sent, b"3")
        world.direct.end(sent)
        assert [piece async for piece in stream] == [b"2", b"3"]


@run
async def test_stream_of_a_model_that_has_none_is_refused_before_any_worker_is_asked():
    async with World() as world:
        (version,) = world.service._models["digits"].router.versions.values()
        version.source.description = {"methods": ["predict"]}
        with pytest.raises(ServingError, match=r"'digits' has no stream\(row\)") as refused:
            await anext(world.service.stream(ModelCall("digits", RowForm.JSON, b"[1]", 1)))
        assert (refused.value.status, refused.value.code) == (400, "no_stream")
        assert not world.direct.held
        assert world.service._runner.in_flight == 0


@run
async def test_a_stream_that_is_lost_after_a_piece_is_cut_off_and_before_tried_again():
    async with World() as world:
        stream = world.service.stream(ModelCall("digits", RowForm.JSON, b"[1]", 1))
        first = asyncio.ensure_future(anext(stream))
        (sent,) = await world.sent(1)
        world.direct.end(sent, error=ManagerLost("silent"))
        (sent,) = await world.sent(1)
        world.direct.pieces(sent, b"1")
        assert await first == b"1"
        world.direct.end(sent, error=ManagerLost("silent"))
        with pytest.raises(ServingError, match="cut off"):
            await anext(stream)


@run
async def test_closing_a_stream_stops_its_task():
    async with World() as world:
        stream = world.service.stream(ModelCall("digits", RowForm.JSON, b"[1]", 1))
        first = asyncio.ensure_future(anext(stream))
        (sent,) = await world.sent(1)
        world.direct.pieces(sent, b"1")
        await first
        await stream.aclose()
        assert world.direct.cancelled == [sent.id]
        assert world.service.calls_now()["digits"][:2] == (0, 0)


@run
async def test_a_drain_waits_for_calls_and_still_answers():
    async with World() as world:
        answer = world.call()
        (sent,) = await world.sent(1)
        drain = asyncio.ensure_future(world.service.drain(10))
        await settle()
        assert not world.service.is_ready
        late = world.call()
        _, other = await world.sent(2)
        world.direct.end(sent, b"[1]")
        await answer
        assert not drain.done()
        world.direct.end(other, b"[2]")
        await late
        await drain


@run
async def test_the_end_answers_what_is_left():
    async with World() as world:
        answer = world.call()
        await world.sent(1)
        await world.service.close()
        with pytest.raises(ServingError) as ended:
            await answer
        assert ended.value.code == "shutting_down"


@run
async def test_calls_of_others_are_answered_by_the_executor_once_the_service_is_closed():
    executor = FakeExecutor()
    executor.direct.deliver = before = [].extend
    async with World(executors=[executor]) as world:
        assert executor.direct.deliver != before
        with pytest.raises(ConfigurationError, match="'htex' has a server already"):
            async with World(executors=[executor]):
                pass
        answer = world.call()
        world.direct.end(*await world.sent(1), b"[2]")
        assert (await answer).results == b"[2]"
    assert executor.direct.deliver == before


def test_what_comes_after_the_end_of_the_loop_reaches_its_callback():
    executor, heard = FakeExecutor(), []

    @run
    async def serve_without_end():
        await World(executors=[executor]).service.start()

    serve_without_end()
    executor.direct.deliver([(heard.append, 1)])
    assert heard == [1]


@run
async def test_a_version_is_named_by_the_digest_of_its_image():
    executor = FakeExecutor("htex", "app1:0.1")
    async with World({"module": "app1", "image": "app1:0.1"}, (executor,)) as world:
        assert list(world.versions) == ["0.1"]
        executor.digest.set_result("sha256:" + "ab12" * 16)
        await world.later(1)
        assert list(world.versions) == ["ab12ab12ab12"]
        answer = world.call()
        (sent,) = await world.sent(1)
        world.direct.end(sent, b"[7]")
        assert (await answer).digest == "ab12" * 16


def test_an_image_that_no_executor_runs_is_refused():
    config = ServeConfig(models=[{"name": "digits", "module": "app1", "image": "app9:1"}])
    with pytest.raises(ConfigurationError, match="no executor runs image 'app9:1'"):
        LiveService(config, {"htex": FakeExecutor()}, FakeClock())
    made = FakeExecutor("app9", "app9:1")
    service = LiveService(config, {"htex": FakeExecutor()}, FakeClock(), lambda _: made)
    assert service.is_ready is False
