"""Values by reference beside Ray's object store: ``python -m benchmarks.references``.

Seconds for an array of 100 MB, the best of some rounds of each system in the same run::

    put         the driver stores it and has a reference
    get         the driver reads it back
    task        a task of a warm worker is given a reference that no task had before, and reads every element
    again       a second task is given the same reference
    kept        a task makes an array, which stays in the store, and the next one reads it
    fetched     a task makes an array, which the driver then reads
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks import peers
from benchmarks.systems import SYSTEMS

if TYPE_CHECKING:
    from collections.abc import Callable

MEGABYTES = 100
ROUNDS = 7


def make(megabytes: int) -> Any:  # noqa: ANN401 - an array
    """Make an array."""
    import numpy as np

    return np.ones(megabytes * 125_000)


def read(array: Any) -> float:  # noqa: ANN401 - an array
    """Read all of *array*."""
    return float(array.sum())


class Store(Protocol):
    """A system under test."""

    def put(self, value: Any) -> Any:  # noqa: ANN401 - any value, and the system's reference
        """Store *value*."""

    def get(self, reference: Any) -> Any:  # noqa: ANN401 - the same
        """Return the value."""

    def result(self, function: Callable[..., Any], *args: Any) -> Any:  # noqa: ANN401 - the same
        """Call *function* in a worker, and return a reference to its result."""

    def value(self, result: Any) -> Any:  # noqa: ANN401 - the same
        """Wait for a result, and return its value."""

    def stop(self) -> None:
        """End the system."""


class Cnflow:
    """This package."""

    def __init__(self) -> None:
        import cnflow
        from cnflow.config import Config, HighThroughputExecutor

        config = Config(executors=[HighThroughputExecutor(max_workers=2)], run_dir=tempfile.mkdtemp())
        self._run = cnflow.load(config)
        self.put = cnflow.put
        self._apps: dict[Any, Any] = {
            make: cnflow.python_app(keep_remote=True)(make),
            read: cnflow.python_app(read),
        }

    def get(self, reference: Any) -> Any:  # noqa: ANN401 - see Store
        """Return the value."""
        return reference.get()

    def result(self, function: Callable[..., Any], *args: Any) -> Any:  # noqa: ANN401 - see Store
        """Submit a task."""
        return self._apps[function](*args)

    def value(self, result: Any) -> Any:  # noqa: ANN401 - see Store
        """Wait for a result."""
        return result.result()

    def stop(self) -> None:
        """End the run."""
        self._run.cleanup()


class Ray:
    """Ray on one node."""

    def __init__(self) -> None:
        import ray

        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=2 * 1024**3,
            _node_ip_address="127.0.0.1",
            log_to_driver=False,
        )
        self._ray = ray
        self.put, self.get, self.value, self.stop = ray.put, ray.get, ray.get, ray.shutdown
        self._apps: dict[Any, Any] = {function: ray.remote(function) for function in (make, read)}

    def result(self, function: Callable[..., Any], *args: Any) -> Any:  # noqa: ANN401 - see Store
        """Submit a task."""
        return self._apps[function].remote(*args)


STORES: dict[str, Callable[[], Store]] = {"cnflow": Cnflow, "ray": Ray}


class Timer:
    """Keeps the best time of each step."""

    def __init__(self) -> None:
        self.best: dict[str, float] = {}

    def time(self, step: str, function: Callable[..., Any], *args: Any) -> Any:  # noqa: ANN401 - the function's
        """Call *function* and return its result."""
        begun = time.perf_counter()
        value = function(*args)
        self.best[step] = min(self.best.get(step, float("inf")), time.perf_counter() - begun)
        return value


def measure(store: Store) -> dict[str, float]:
    """Return the best time of each step, in seconds."""
    array, timer = make(MEGABYTES), Timer()
    for _ in range(2):
        store.value(store.result(read, array))  # starts the workers

    def task(reference: Any) -> float:  # noqa: ANN401 - the system's
        return float(store.value(store.result(read, reference)))

    for number in range(ROUNDS):
        array[0] = number  # another content
        reference = timer.time("put", store.put, array)
        timer.time("get", lambda kept: read(store.get(kept)), reference)
        del reference
    for number in range(ROUNDS):
        array[0] = -number
        reference = store.put(array)
        timer.time("task", task, reference)
        timer.time("again", task, reference)
        del reference
        timer.time("kept", lambda: task(store.result(make, MEGABYTES)))
        timer.time("fetched", lambda: read(store.value(store.result(make, MEGABYTES))))
    store.stop()
    return timer.best


def main() -> None:
    """Print the table."""
    if len(sys.argv) > 1:
        sys.stdout.write(json.dumps(measure(STORES[sys.argv[1]]())) + "\n")
        return
    peers.install({SYSTEMS["ray"].requirement})
    times = {}
    for name in STORES:
        command = [str(peers.PYTHON), "-m", "benchmarks.references", name]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=peers.ROOT)
        times[name] = json.loads(done.stdout.splitlines()[-1])
    sys.stdout.write(f"{'milliseconds':14}{'cnflow':>10}{'ray':>10}{'ray/cnflow':>12}\n")
    for step, ours in times["cnflow"].items():
        theirs = times["ray"][step]
        sys.stdout.write(f"{step:14}{ours * 1e3:10.1f}{theirs * 1e3:10.1f}{theirs / ours:12.2f}\n")


if __name__ == "__main__":
    main()
