"""Parsl's loggers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow import logs

if TYPE_CHECKING:
    from collections.abc import Callable


def set_stream_logger(name: str = "parsl", level: int = 10, **more: Any) -> Callable[[], None]:  # noqa: ANN401
    """`cnflow.set_stream_logger`; the logger ``parsl`` is cnflow's."""
    return logs.set_stream_logger(_ours(name), level, **more)


def set_file_logger(filename: str, name: str = "parsl", level: int = 10, **more: Any) -> Callable[[], None]:  # noqa: ANN401
    """`cnflow.set_file_logger`; the logger ``parsl`` is cnflow's."""
    return logs.set_file_logger(filename, _ours(name), level, **more)


def _ours(name: str) -> str:
    first, dot, rest = name.partition(".")
    return f"cnflow{dot}{rest}" if first == "parsl" else name
