"""Floor: the bare loop of `benchmarks.floor`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from benchmarks.floor.driver import Driver
from benchmarks.functions import FUNCTIONS, bash, shell
from benchmarks.systems.base import WORKERS, Submit, System

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Floor(System):
    """Handles are numbers."""

    links = False

    def start(self) -> None:
        self._driver = Driver(WORKERS)

    def app(self, function: Callable[..., Any]) -> Submit:
        number = FUNCTIONS.index(function)
        submit = self._driver.submit
        return lambda *arguments: submit(number, arguments)

    def bash(self, command: str) -> Submit:
        assert command == "true"
        return functools.partial(self._driver.submit, FUNCTIONS.index(shell), ())

    def bash_itself(self) -> Submit:
        return functools.partial(self._driver.submit, FUNCTIONS.index(bash), ())

    def results(self, handles: Sequence[Any]) -> list[Any]:
        return self._driver.results(handles)

    def stop(self) -> None:
        self._driver.stop()
