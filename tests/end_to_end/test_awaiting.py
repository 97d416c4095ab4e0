"""Futures in coroutines of the driver: await, gather, wait_for, as_completed."""

import asyncio
import concurrent.futures
import threading
import time

import pytest

import cnflow
from cnflow import Config, bash_app, python_app
from cnflow.errors import DependencyError
from cnflow.executors import ThreadPoolExecutor


@pytest.fixture(scope="module", autouse=True)
def run(tmp_path_factory):
    executor = ThreadPoolExecutor(max_threads=4)
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path_factory.mktemp("run")))) as dfk:
        yield dfk
    cnflow.clear()


@python_app
def square(x):
    return x * x


@python_app
def fails():
    raise ValueError("no")


@python_app
def wait_for_event(event):
    event.wait(30)
    return "done"


@pytest.fixture
def held():
    """A task that runs until the event is set."""
    event = threading.Event()
    yield wait_for_event(event), event
    event.set()


def test_await_gives_the_result(run):
    async def main():
        first = await square(3)
        done = square(2)
        done.result()
        pair = square.options(label="x")(first)
        return first, await done, await pair, await pair

    assert asyncio.run(main()) == (9, 4, 81, 81)


def test_await_raises_the_error_of_the_task():
    async def main():
        failed = fails()
        with pytest.raises(ValueError, match="no"):
            await failed
        with pytest.raises(DependencyError):
            await square(failed)
        with pytest.raises(KeyError):
            await python_app(dict)()["missing"]

    asyncio.run(main())


def test_gather_as_completed_and_shield_take_futures():
    async def main():
        numbers = await asyncio.gather(*map(square, range(50)))
        mixed = await asyncio.gather(square(3), fails(), asyncio.sleep(0, "slept"), return_exceptions=True)
        early = [await each for each in asyncio.as_completed([square(2), square(2), square(2)])]
        return numbers, mixed, early, await asyncio.shield(square(5))

    numbers, mixed, early, shielded = asyncio.run(main())
    assert numbers == [x * x for x in range(50)]
    assert (mixed[0], str(mixed[1]), mixed[2]) == (9, "no", "slept")
    assert (early, shielded) == ([4, 4, 4], 25)


def test_loop_is_not_blocked_while_a_future_is_awaited(held):
    future, event = held

    async def main():
        async def others():
            await asyncio.sleep(0.01)
            event.set()
            return "others"

        return await asyncio.gather(future, others())

    assert asyncio.run(main()) == ["done", "others"]


def test_timeout_leaves_the_task_and_all_others_that_await_it(held):
    future, event = held

    async def main():
        patient = asyncio.ensure_future(future)
        for _ in range(20):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(future, 0.001)
        assert not future.done()
        assert len(future._done_callbacks) <= 1, "one bridge for all that await in a loop"
        event.set()
        return await patient

    assert asyncio.run(main()) == "done"


def test_cancelled_waiter_does_not_cancel_the_task(held):
    future, event = held

    async def main():
        waiter = asyncio.ensure_future(future)
        await asyncio.sleep(0.01)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        return future.done()

    assert asyncio.run(main()) is False
    event.set()
    assert future.result(timeout=30) == "done"


def test_cancelled_task_is_an_error_of_its_waiters_and_not_their_own_cancellation():
    event = threading.Event()
    for _ in range(4):  # all threads are taken
        wait_for_event(event)

    async def main():
        waiting = square(3)
        waiter = asyncio.ensure_future(waiting)
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(concurrent.futures.CancelledError):
            await waiter
        assert not waiter.cancelled()

    asyncio.run(main())
    event.set()


def test_future_is_awaited_in_several_loops_and_outlives_one(held):
    future, event = held
    results = []

    async def give_up():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(future, 0.01)

    async def main():
        return await future

    asyncio.run(give_up())
    threads = [threading.Thread(target=lambda: results.append(asyncio.run(main()))) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    event.set()
    for thread in threads:
        thread.join(30)
    assert results == ["done"] * 3


def test_file_of_a_task_is_awaited(tmp_path):
    @bash_app
    def write(outputs=()):
        return f"echo hello > {outputs[0]}"

    async def main():
        written = write(outputs=[str(tmp_path / "out")])
        file = await written.outputs[0]
        again, code = await asyncio.gather(written.outputs[0], written)
        return file, again, code

    file, again, code = asyncio.run(main())
    assert (file.filepath, again, code) == (str(tmp_path / "out"), file, 0)
    assert (tmp_path / "out").read_text() == "hello\n"


def test_thousands_of_futures_are_awaited_at_once():
    async def main():
        futures = [square(x) for x in range(3000)]
        return sum(await asyncio.gather(*futures, *futures))

    assert asyncio.run(main()) == 2 * sum(x * x for x in range(3000))
