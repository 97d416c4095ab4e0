"""cnflow: the whole stack, from the decorator on."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING, Any

import cnflow
from benchmarks.systems.base import WORKERS, Submit, System
from cnflow.addresses import addresses_of_this_machine, is_loopback
from cnflow.config import MonitoringHub
from cnflow.executors import HighThroughputExecutor, ThreadPoolExecutor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cnflow.config.executors import ExecutorSettings

IMAGE = os.environ.get("BENCH_IMAGE", "app1:0.1")
"""Image of the Docker figures."""


class _Cnflow(System):
    options: Mapping[str, Any] = {}
    """Further options of the configuration."""

    def settings(self) -> ExecutorSettings:
        """Settings of the executor."""
        raise NotImplementedError

    def start(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bench-")
        config = cnflow.Config(executors=[self.settings()], run_dir=self._folder.name, **self.options)
        self._run = cnflow.load(config)

    def app(self, function: Callable[..., Any]) -> Submit:
        return cnflow.python_app(function)

    def bash(self, command: str) -> Submit:
        return cnflow.bash_app(lambda: command)

    def stop(self) -> None:
        self._run.cleanup()
        self._folder.cleanup()


class HighThroughput(_Cnflow):
    """Plain processes of this machine, plain sockets."""

    def settings(self) -> ExecutorSettings:
        return HighThroughputExecutor(max_workers=WORKERS)


class Encrypted(_Cnflow):
    """Processes of this machine, over TCP with CURVE, as for blocks elsewhere: any address but loopback does that."""

    def missing(self) -> str:
        return "" if self._address() else "this machine has no address but loopback's, which is not encrypted"

    def settings(self) -> ExecutorSettings:
        return HighThroughputExecutor(max_workers=WORKERS, address=self._address())

    @staticmethod
    def _address() -> str:
        return next((address for address in addresses_of_this_machine() if not is_loopback(address)), "")


class Monitored(HighThroughput):
    """The same as plain processes, with each event in a database."""

    options: Mapping[str, Any] = {"monitoring": MonitoringHub()}


class Docker(_Cnflow):
    """One container with two workers, encrypted."""

    shares_files = False

    def missing(self) -> str:
        docker = shutil.which("docker")
        if not docker:
            return "no docker command here"
        done = subprocess.run([docker, "image", "inspect", IMAGE], check=False, capture_output=True, text=True)
        return "" if done.returncode == 0 else f"docker image inspect {IMAGE}: {done.stderr.strip()}"

    def fresh(self, function: Callable[..., Any]) -> Submit:
        return cnflow.python_app(fresh=True)(function)

    def settings(self) -> ExecutorSettings:
        from cnflow.providers import DockerProvider

        return HighThroughputExecutor(max_workers=WORKERS, image=IMAGE, provider=DockerProvider(pull="never"))


class Threads(_Cnflow):
    """Threads of the driver."""

    copies = False

    def settings(self) -> ExecutorSettings:
        return ThreadPoolExecutor(max_threads=WORKERS)
