"""A service over real workers, whose processes are killed, and whose versions change, under load."""

import asyncio
import contextlib
import json
import os
import signal
import time
from pathlib import Path

import pytest

import cnflow
from cnflow.assemble import new_run, start
from cnflow.clock import SystemClock
from cnflow.config import ServeConfig, VersionConfig
from cnflow.serving.live_service import LiveService
from cnflow.serving.service import ModelCall, RowForm, ServingError
from tests.processes import children_of

CALLERS = 6


class Doubler:
    def __init__(self, factor=2):
        self.factor = factor

    def predict(self, rows):
        import os
        import time

        if any(row == "die" for row in rows):
            os.kill(os.getpid(), 9)
        time.sleep(0.002)
        return [[self.factor * row, os.getpid(), os.getppid()] for row in rows]

    def stream(self, row):
        for number in range(row):
            yield self.factor * number


class Broken:
    def setup(self):
        raise ValueError("no weights")

    def predict(self, rows):
        return rows


class Hanging:
    def setup(self):
        import sys
        import time

        sys.stderr.write("waiting for the weights\n")
        time.sleep(600)

    def predict(self, rows):
        return rows


class Ended(Doubler):
    def __init__(self, path):
        super().__init__()
        self.path = path

    def teardown(self):
        import os

        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, b"%d\n" % os.getpid())


model = cnflow.model_app(Doubler)


class Load:
    """Callers that call without end; each answer is checked."""

    def __init__(self, service):
        self.service, self.answers, self.errors, self.ends = service, [], [], False
        self.versions, self.pids, self.managers = set(), set(), set()
        self.callers = [asyncio.ensure_future(self._call(number)) for number in range(CALLERS)]

    async def _call(self, number):
        while not self.ends:
            number += CALLERS
            try:
                found = await self.service.predict(ModelCall("double", RowForm.JSON, b"[%d]" % number, 1))
            except ServingError as error:
                self.errors.append(error)
                continue
            ((value, pid, manager),) = json.loads(found.results)
            assert value == number * (3 if found.version == "triple" else 2)
            self.answers.append(value)
            self.versions.add(found.version)
            self.pids.add(pid)
            self.managers.add(manager)

    async def more(self, calls=60):
        """Wait until so many more calls are answered."""
        wanted = len(self.answers) + calls
        deadline = time.monotonic() + 60
        while len(self.answers) < wanted:
            assert time.monotonic() < deadline, (len(self.answers), wanted, self.errors)
            for caller in self.callers:
                if caller.done():
                    caller.result()
            await asyncio.sleep(0.02)

    async def end(self):
        self.ends = True
        await asyncio.gather(*self.callers)


def interchange():
    (found,) = [
        pid for pid in children_of(os.getpid()) if b"cnflow.interchange" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    return found


def is_running(pid):
    return Path(f"/proc/{pid}").exists()


async def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def serving(tmp_path, blocks=2, **options):
    config = ServeConfig(
        run_dir=str(tmp_path),
        models=[{"name": "double", "app": model, "version": "1", **options}],
        executors=[
            {
                "kind": "high_throughput",
                "label": "cpu",
                "max_workers": 2,
                "provider": {"kind": "local", "init_blocks": blocks, "min_blocks": blocks, "max_blocks": 2},
            }
        ],
    )
    dfk = new_run(config)
    start(dfk)
    try:
        service = LiveService(config, {"cpu": dfk.executors["cpu"]}, SystemClock())
        await service.start()
        await until(lambda: service.is_ready)
        yield service
        await service.close()
    finally:
        dfk.cleanup()


def of(service, version):
    return next((each for each in service.models()["double"].versions if each.version == version), None)


def test_no_call_fails_while_processes_are_killed_and_versions_roll(tmp_path):
    async def story():
        async with serving(tmp_path) as service:
            load = Load(service)
            await load.more()
            os.kill(load.pids.pop(), signal.SIGKILL)
            await load.more()
            os.kill(load.managers.pop(), signal.SIGKILL)
            await load.more()
            os.kill(interchange(), signal.SIGKILL)
            await load.more()
            await service.roll("double", VersionConfig(version="triple", app=model.bind(3)))
            await until(lambda: of(service, "triple").weight == 1)
            load.versions.clear()
            await load.more()
            assert "triple" in load.versions
            await service.roll_back("double")
            await load.more(20)
            load.versions.clear()
            await load.more()
            assert load.versions == {"1"}
            drain = asyncio.ensure_future(service.drain(30))
            await load.end()
            await drain
            assert load.errors == []

    asyncio.run(story())


def test_a_call_that_kills_workers_fails_alone(tmp_path):
    async def story():
        async with serving(tmp_path) as service:
            load = Load(service)
            await load.more(20)
            with pytest.raises(ServingError) as died:
                await service.predict(ModelCall("double", RowForm.JSON, b'["die"]', 1))
            assert (died.value.status, died.value.code) == (500, "worker_died")
            await load.more(20)
            await load.end()
            assert load.errors == []

    asyncio.run(story())


def test_a_broken_version_gets_no_calls_and_a_stream_comes_in_pieces(tmp_path):
    async def story():
        async with serving(tmp_path) as service:
            await service.roll("double", VersionConfig(version="2", app=cnflow.model_app(Broken)))
            await until(lambda: of(service, "2").state == "failed")
            assert "no weights" in of(service, "2").reason
            assert of(service, "1").weight == 1
            call = ModelCall("double", RowForm.JSON, b"[3]", 1)
            assert [piece async for piece in service.stream(call)] == [b"0", b"2", b"4"]

    asyncio.run(story())


def test_a_version_whose_load_hangs_fails_in_words_and_one_that_was_replaced_is_unloaded(tmp_path):
    ends = tmp_path / "ends"

    async def story():
        app = cnflow.model_app(Ended).bind(str(ends))
        async with serving(tmp_path, blocks=1, app=app, keep_previous=0.5) as service:
            await service.roll("double", VersionConfig(version="2", app=cnflow.model_app(Hanging), load_timeout=1))
            await until(lambda: of(service, "2").state == "failed")
            for words in ("was not loaded within 1 s", "load_timeout=", "waiting for the weights"):
                assert words in of(service, "2").reason
            assert json.loads((await service.predict(ModelCall("double", RowForm.JSON, b"[1]", 1))).results)[0][0] == 2
            await service.roll("double", VersionConfig(version="3", app=model.bind(3)))
            await until(ends.exists)
            pids = {int(line) for line in ends.read_text().split()}
            assert all(map(is_running, pids)), "their workers go on"
            assert json.loads((await service.predict(ModelCall("double", RowForm.JSON, b"[1]", 1))).results)[0][0] == 3

    asyncio.run(story())


def test_a_model_without_workers_wakes_for_a_call_and_a_bound_holds(tmp_path):
    async def story():
        async with serving(tmp_path, blocks=0, warm=0, cold_timeout=60) as service:
            assert of(service, "1").state == "asleep"
            with pytest.raises(ServingError) as hasty:
                await service.predict(ModelCall("double", RowForm.JSON, b"[1]", 1, timeout=0.01))
            assert (hasty.value.status, hasty.value.code) == (504, "timeout")
            found = await service.predict(ModelCall("double", RowForm.JSON, b"[1]", 1))
            assert json.loads(found.results)[0][0] == 2
            assert of(service, "1").state == "ready"

    asyncio.run(story())
