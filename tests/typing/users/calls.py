"""Calls that both checkers accept, with the types of what they return."""

from __future__ import annotations

import asyncio
import concurrent.futures
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import assert_type

from cnflow import AUTO_LOGNAME, AppFuture, File, Ref, bash_app, join_app, put, python_app
from cnflow.apps import App, DataFuture, as_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@python_app
def name_of(number: int, scale: float = 1.0) -> str:
    return str(number * scale)


@python_app(executors=["node"], image="python:3.12", cache=True, retries=2, walltime=60, resources={"cores": 2})
def square(number: int) -> int:
    return number * number


@python_app()
def mean(values: Sequence[float], *, weight: float = 1.0) -> float:
    return weight * sum(values) / len(values)


@python_app
def count(letters: Mapping[str, int]) -> int:
    return sum(letters.values())


@python_app
def add(*numbers: int) -> int:
    return sum(numbers)


@python_app
def half(number: float) -> float:
    return number / 2


@python_app
def nothing() -> None:
    pass


@python_app
def read(inputs: Sequence[File] = ()) -> str:
    return Path(inputs[0]).read_text()


@bash_app
def copy(source: str, inputs: Sequence[File] = (), outputs: Sequence[File] = (), stdout: str | None = None) -> str:
    return f"cp {source} {outputs[0]}"


@bash_app(env={"LANG": "C"}, sandbox=True)
def greet(name: str) -> str:
    return f"echo {name}"


# The function itself, and the app as an argument.
def twice(app: App[[int], int], number: int) -> AppFuture[int]:
    return app(app(number))


def any_app(app: App) -> AppFuture:
    return app(1, "two")


twice(square, 3)
any_app(square)
square.function(3)

# A call with values: as the function.
assert_type(name_of(1), AppFuture[str])
assert_type(name_of(1, 2), AppFuture[str])
assert_type(name_of(number=1, scale=2), AppFuture[str])
assert_type(square(2).result(), int)
assert_type(square(2).result(timeout=1.5), int)
assert_type(mean([1, 2.5], weight=2), AppFuture[float])
assert_type(add(), AppFuture[int])
assert_type(add(1, 2, 3, 4, 5, 6, 7, 8), AppFuture[int])
assert_type(nothing(), AppFuture[None])

# Futures in the places of values.
assert_type(name_of(square(1)), AppFuture[str])
assert_type(name_of(square(1), 2), AppFuture[str])
assert_type(name_of(square(1), scale=2), AppFuture[str])
assert_type(name_of(1, half(2)), AppFuture[str])
assert_type(name_of(square(1), half(2)), AppFuture[str])
assert_type(half(square(2)), AppFuture[float])
assert_type(add(square(1), 2, square(3)), AppFuture[int])
assert_type(name_of(concurrent.futures.Future[int]()), AppFuture[str])

# Futures in containers, and parts of results.
assert_type(mean([half(1), half(2)]), AppFuture[float])
assert_type(mean([square(n) for n in range(3)], weight=2), AppFuture[float])
assert_type(mean((half(1), half(2))), AppFuture[float])
assert_type(count({"a": square(1), "b": square(2)}), AppFuture[int])
assert_type(square(2)["part"], AppFuture[Any])
assert_type(square(2).real, AppFuture[Any])
assert_type(name_of(square(2).real, square(2)[0]), AppFuture[str])

# Futures by keyword, and among values.
assert_type(as_value(square(2)), int)
assert_type(name_of(1, scale=as_value(half(2))), AppFuture[str])
assert_type(mean([as_value(half(1)), 2.5]), AppFuture[float])

# Files and special keywords, whether the function has such parameters or not.
assert_type(copy("a"), AppFuture[int])
assert_type(copy("a", outputs=[File("b")]).outputs, list[DataFuture])
assert_type(copy("a", outputs=["b"]).outputs[0].result(), File)
assert_type(copy("b", inputs=copy("a", outputs=["b"]).outputs, outputs=[Path("c")]), AppFuture[int])
assert_type(read(inputs=copy("a", outputs=["b"]).outputs), AppFuture[str])
assert_type(greet("you", stdout="out.txt", stderr=("err.txt", "w"), label="first"), AppFuture[int])
assert_type(greet(name_of(1), stdout=AUTO_LOGNAME, walltime=5), AppFuture[int])
assert_type(name_of(1, walltime=2.5, resources={"cores": 2}, env={"A": "b"}, sandbox=True), AppFuture[str])
assert_type(nothing(label="idle"), AppFuture[None])


# Join apps: futures become results, in the containers that both systems know.
@join_app
def one(number: int) -> AppFuture[int]:
    return square(number)


@join_app(cache=True)
def several(number: int) -> list[AppFuture[int]]:
    return [square(n) for n in range(number)]


@join_app
def plain() -> list[concurrent.futures.Future[str]]:
    return []


@join_app
def pair() -> tuple[AppFuture[int], AppFuture[str]]:
    return square(1), name_of(1)


@join_app
def row() -> tuple[AppFuture[int], ...]:
    return (square(1),)


@join_app
def by_name() -> dict[str, AppFuture[int]]:
    return {"one": square(1)}


@join_app
def nested() -> list[list[AppFuture[int]]]:
    return [[square(1)]]


assert_type(one(2), AppFuture[int])
assert_type(one(square(2)), AppFuture[int])
assert_type(several(2), AppFuture[list[int]])
assert_type(plain(), AppFuture[list[str]])
assert_type(pair().result(), tuple[int, str])
assert_type(row().result(), tuple[int, ...])
assert_type(by_name(), AppFuture[dict[str, int]])
assert_type(nested(), AppFuture[Any])


# Methods.
class Model:
    @python_app
    def fit(self, steps: int, rate: float = 0.1) -> str:
        return ""

    @python_app
    @staticmethod
    def prepare(steps: int) -> int:
        return steps


assert_type(Model().fit(3), AppFuture[str])
assert_type(Model().fit(square(3), rate=0.2), AppFuture[str])
assert_type(Model.prepare(3), AppFuture[int])


# Futures as Python's.
def report(future: concurrent.futures.Future[int]) -> None:
    assert future.result()


def in_order(futures: list[AppFuture[int]]) -> list[int]:
    return [future.result() for future in concurrent.futures.as_completed(futures)]


async def awaited() -> int:
    assert_type(await square(2), int)
    assert_type(await asyncio.gather(square(2), fetch("x")), tuple[int, float])
    assert_type(await asyncio.wait_for(square(2), 5.0), int)
    return await asyncio.wrap_future(square(2))


# Coroutines.
@python_app
async def fetch(url: str) -> float:
    return 0.0


@python_app(walltime=5.0)
async def fetch_in_time(url: str) -> float:
    return 0.0


@bash_app
async def command(name: str) -> str:
    return f"echo {name}"


@join_app
async def joined(x: int) -> AppFuture[int]:
    return square(await square(x))


assert_type(fetch("x"), AppFuture[float])
assert_type(fetch_in_time("x"), AppFuture[float])
assert_type(command("x"), AppFuture[int])
assert_type(joined(1), AppFuture[int])
assert_type(fetch.options(walltime=5.0, env={"A": "1"})("x"), AppFuture[float])


def annotated_without_its_result(future: AppFuture) -> None:
    assert_type(future.result(), Any)


square(2).add_done_callback(report)
assert_type(square(2).exception(), BaseException | None)
assert_type(square(2).cancel(), bool)


def check_references() -> None:
    numbers = put([1, 2, 3])
    assert_type(numbers, Ref[list[int]])
    assert_type(numbers.get(), list[int])
    assert_type(total_of(numbers), AppFuture[int])
    assert_type(total_of([1]), AppFuture[int])


async def check_awaited_reference() -> None:
    assert_type(await put("a"), str)


@python_app(keep_remote=True)
def total_of(numbers: list[int]) -> int:
    return sum(numbers)
