"""Parsl, with its defaults but for the addresses, which are this machine's loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import parsl
from parsl.config import Config
from parsl.executors import HighThroughputExecutor, ThreadPoolExecutor
from parsl.providers import LocalProvider

from benchmarks.systems.base import WORKERS, Submit, System

if TYPE_CHECKING:
    from collections.abc import Callable

    from parsl.executors.base import ParslExecutor


class _Parsl(System):
    def executor(self) -> ParslExecutor:
        """Settings of the executor."""
        raise NotImplementedError

    def start(self) -> None:
        self._dfk = parsl.load(Config(executors=[self.executor()]))

    def app(self, function: Callable[..., Any]) -> Submit:
        submit: Submit = parsl.python_app(function)
        return submit

    def bash(self, command: str) -> Submit:
        def run() -> str:
            return command

        submit: Submit = parsl.bash_app(run)
        return submit

    def stop(self) -> None:
        self._dfk.cleanup()
        parsl.clear()


class HighThroughput(_Parsl):
    """One local block with two workers."""

    encrypted = False

    def executor(self) -> ParslExecutor:
        return HighThroughputExecutor(
            address="127.0.0.1",
            max_workers_per_node=WORKERS,
            encrypted=self.encrypted,
            provider=LocalProvider(init_blocks=1, max_blocks=1),
        )


class Encrypted(HighThroughput):
    """One local block with two workers, with CURVE."""

    encrypted = True


class Threads(_Parsl):
    """Threads of the driver."""

    copies = False

    def executor(self) -> ParslExecutor:
        return ThreadPoolExecutor(max_threads=WORKERS)
