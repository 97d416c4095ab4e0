"""Mistakes that both checkers report: each is expected on its line, and one that is not reported is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow import PoolExecutor, bash_app, join_app, python_app
from cnflow.apps import as_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow import AppFuture, File


@python_app
def name_of(number: int, scale: float = 1.0) -> str:
    return str(number * scale)


@python_app
def square(number: int) -> int:
    return number * number


@python_app
def mean(values: list[float]) -> float:
    return sum(values) / len(values)


@bash_app
def copy(source: str, outputs: Sequence[File] = ()) -> str:
    return f"cp {source} {outputs[0]}"


# Arguments.
name_of()  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
name_of("one")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
name_of(None)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
name_of(1, 2, 3)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
name_of(1, "two")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
name_of(1, factor=2)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
name_of(number="one")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
mean(["one"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType, reportCallIssue]

# Futures of another type.
name_of(name_of(1))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
name_of(square(1), "two")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
name_of(1, name_of(1))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
name_of(square(1), factor=2)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
name_of(1, scale=as_value(name_of(1)))  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
mean(square(1))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]

# Special keywords.
name_of(1, walltime="long")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
copy("a", outputs=[1])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType, reportCallIssue]
copy(1, outputs=["b"])  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
copy("a", sandbox="yes")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]

# Futures.
square(1).reslt()  # type: ignore[operator]  # pyright: ignore[reportCallIssue]
_ = square(1) + 1  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue, reportUnknownVariableType]
_ = name_of(1).result() + 1  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue, reportUnknownVariableType]
list(square(1))  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]


# Decorators.
@python_app(cached=True)  # type: ignore[call-overload, untyped-decorator]  # pyright: ignore[reportCallIssue, reportUntypedFunctionDecorator]
def unknown_option() -> None: ...


@bash_app  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue, reportUntypedFunctionDecorator]
def no_command() -> int:
    return 0


@join_app  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue, reportUntypedFunctionDecorator]
def no_future() -> int:
    return 0


@join_app(image="python:3.12")  # type: ignore[call-overload, untyped-decorator]  # pyright: ignore[reportCallIssue, reportUntypedFunctionDecorator]
def elsewhere(number: int) -> AppFuture[int]:
    return square(number)


# The pool.
def scale(number: int, factor: float) -> float:
    return number * factor


with PoolExecutor() as pool:
    pool.submit(scale, "one", 2)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    pool.submit(scale, 1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    pool.submit(scale, pool.submit(str, 1), 2)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    pool.map(scale, ["one"], [2])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    pool.map(scale, [1])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
