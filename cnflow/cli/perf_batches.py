"""Runs batches of empty tasks: decides the size of the next batch, and measures each."""

from __future__ import annotations

import ast
import os
import platform
import time
from typing import TYPE_CHECKING, NamedTuple

from cnflow import __version__
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cnflow.apps.app import App
    from cnflow.config import Config

MODES = ("estimate", "exponential")

Mode = str | list[int]
"""One of `MODES`, or a list of sizes."""

FIRST_SIZE = 10
"""Tasks of the first batch."""

MIN_BATCHES = 2
"""At least; the first batch includes the start of the workers."""

NEAR_ENOUGH = 0.75
"""Fraction of the target time; an estimate is seldom exact."""


class Batch(NamedTuple):
    """Measurement of one batch."""

    tasks: int
    submission: Seconds
    """From the first submission to the last."""

    runtime: Seconds
    """From the first submission to the last result."""

    @property
    def rate(self) -> float:
        """Tasks per second."""
        return _rate(self.tasks, self.runtime)


def next_size(mode: Mode, target: Seconds, done: Sequence[Batch]) -> int | None:
    """Return the number of tasks of the next batch; None after the last.

    Args:
        mode: ``estimate`` computes it from the last rate, until a batch takes nearly as long as the target;
            ``exponential`` doubles it, until a batch takes longer; a list contains the sizes.
        target: time that the longest batch should take.
        done: batches so far, in order.
    """
    if not isinstance(mode, str):
        return mode[len(done)] if len(done) < len(mode) else None
    if not done:
        return FIRST_SIZE
    last = done[-1]
    long = last.runtime >= (NEAR_ENOUGH * target if mode == "estimate" else target)
    if long and len(done) >= MIN_BATCHES:
        return None
    return max(1, int(target * last.rate)) if mode == "estimate" else 2 * last.tasks


class Load(NamedTuple):
    """Properties of the tasks of a batch."""

    argsize: int = 0
    """Bytes."""

    resultsize: int = 0
    """Bytes."""

    image: str = ""


def parse_mode(text: str) -> Mode:
    """Parse the name of a mode, or sizes such as ``10,100,1000``.

    Raises:
        ValueError: *text* is neither.
    """
    if text in MODES:
        return text
    sizes = [int(part) if part.strip().isdecimal() else 0 for part in text.split(",")]
    if not all(sizes):
        raise ValueError(f"{text!r} is neither {' nor '.join(MODES)}, nor numbers of tasks such as 10,100,1000")
    return sizes


def refuse_resources(text: str) -> None:
    """Check that *text*, the resources of each task, is an empty dictionary.

    Raises:
        ValueError: the dictionary is not empty, or *text* is no dictionary.
    """
    try:
        parsed = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        parsed = None
    if not isinstance(parsed, dict):
        raise ValueError(f"""{text!r} is no dictionary, such as '{{"cores": 1}}'""")  # noqa: TRY004 - about the text of an option
    if parsed:
        raise ValueError(
            "cnflow perf cannot set resources of a task; set cores_per_worker and mem_per_worker of the executor in "
            "the configuration"
        )


def measure(config: Config, mode: Mode, target: float, load: Load, print_line: Callable[[str], object]) -> list[Batch]:
    """Run batches with *config* and print each measurement with *print_line*; return the batches.

    Raises:
        CnflowError: *config* does not work, or a task was lost.
    """
    import cnflow

    print_line(
        f"cnflow {__version__}, Python {platform.python_version()}, {platform.platform()}, {os.cpu_count()} CPUs"
    )
    print_line(f"Executors: {', '.join(executor.label for executor in config.executors)}")
    done: list[Batch] = []
    app, argument = cnflow.python_app(image=load.image)(_nothing(load.resultsize)), "x" * load.argsize
    with cnflow.load(config):
        while (size := next_size(mode, Seconds(target), done)) is not None:
            print_line(f"==== Iteration {len(done) + 1} ====")
            print_line(f"Will run {size} tasks")
            done.append(_run(app, argument, size))
            for line in format_batch(done[-1], Seconds(target)):
                print_line(line)
    print_line(f"The end: best of {len(done)} iterations {max(batch.rate for batch in done):.3f} tasks/second")
    return done


def format_batch(batch: Batch, target: Seconds) -> list[str]:
    """Format *batch* in lines with the words of ``parsl-perf``, so that its readers and parsers can be reused."""
    rate = _rate(batch.tasks, batch.submission)
    return [
        f"Submission took {batch.submission:.3f} seconds = {rate:.3f} tasks/second",
        f"Runtime: actual {batch.runtime:.3f}s vs target {target:g}s",
        f"Tasks per second: {batch.rate:.3f}",
    ]


def _run(app: App, argument: str, size: int) -> Batch:
    begin = time.perf_counter()
    futures = [app(argument) for _ in range(size)]
    submitted = time.perf_counter()
    for future in futures:
        future.result()
    return Batch(size, Seconds(submitted - begin), Seconds(time.perf_counter() - begin))


def _rate(tasks: int, seconds: Seconds) -> float:
    return tasks / max(seconds, 1e-9)


def _nothing(resultsize: int) -> Callable[[str], bytes]:
    """Return an empty function. A closure, which is pickled by value: workers do not have this module."""
    result = bytes(resultsize)

    def nothing(argument: str) -> bytes:  # noqa: ARG001 - it is sent to measure its size
        return result

    return nothing
