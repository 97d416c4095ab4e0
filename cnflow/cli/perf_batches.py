"""Batches of tasks that do nothing: how many the next has, and how long each took."""

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
"""One of `MODES`, or the sizes themselves."""

FIRST = 10
"""Tasks of the first batch."""

LEAST = 2
"""Batches; the first has the start of the workers in it."""

NEAR_ENOUGH = 0.75
"""Of the target: an estimate is seldom exact."""


class Batch(NamedTuple):
    """What was measured."""

    tasks: int
    submission: Seconds
    """Until the last task was submitted."""

    runtime: Seconds
    """From the first submission to the last result."""

    @property
    def rate(self) -> float:
        """Tasks per second."""
        return _rate(self.tasks, self.runtime)


def next_size(mode: Mode, target: Seconds, done: Sequence[Batch]) -> int | None:
    """Tasks of the batch after those that are *done*; None after the last.

    Args:
        mode: ``estimate`` goes by the last rate until a batch takes nearly as long as the target; ``exponential``
            doubles until one takes longer; a list is gone through.
        target: how long the longest batch is to take.
        done: in order.
    """
    if not isinstance(mode, str):
        return mode[len(done)] if len(done) < len(mode) else None
    if not done:
        return FIRST
    last = done[-1]
    long = last.runtime >= (NEAR_ENOUGH * target if mode == "estimate" else target)
    if long and len(done) >= LEAST:
        return None
    return max(1, int(target * last.rate)) if mode == "estimate" else 2 * last.tasks


class Load(NamedTuple):
    """What the tasks of a batch are."""

    argsize: int = 0
    """Bytes."""

    resultsize: int = 0
    """Bytes."""

    image: str = ""


def mode_of(text: str) -> Mode:
    """*text* as a mode: its name, or sizes as in ``10,100,1000``.

    Raises:
        ValueError: it is neither.
    """
    if text in MODES:
        return text
    sizes = [int(part) if part.strip().isdecimal() else 0 for part in text.split(",")]
    if not all(sizes):
        raise ValueError(f"{text!r} is neither {' nor '.join(MODES)}, nor numbers of tasks such as 10,100,1000")
    return sizes


def refuse_resources(text: str) -> None:
    """See that *text*, the resources that each task is to ask for, asks for none.

    Raises:
        ValueError: it does, or is no dictionary.
    """
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"""{text!r} is no dictionary, such as '{{"cores": 1}}'""")  # noqa: TRY004 - of what was typed
    if found:
        raise ValueError(
            "a task of cnflow's asks for no resources of its own; set cores_per_worker and mem_per_worker of the "
            "executor in the configuration"
        )


def measure(config: Config, mode: Mode, target: float, load: Load, say: Callable[[str], object]) -> list[Batch]:
    """Run batches through *config*, and *say* what each gives, line by line.

    Raises:
        CnflowError: *config* cannot work, or a task was lost.
    """
    import cnflow  # noqa: PLC0415 - start-up stays fast

    say(f"cnflow {__version__}, Python {platform.python_version()}, {platform.platform()}, {os.cpu_count()} CPUs")
    say(f"Executors: {', '.join(executor.label for executor in config.executors)}")
    done: list[Batch] = []
    app, argument = cnflow.python_app(image=load.image)(_nothing(load.resultsize)), "x" * load.argsize
    with cnflow.load(config):
        while (size := next_size(mode, Seconds(target), done)) is not None:
            say(f"==== Iteration {len(done) + 1} ====")
            say(f"Will run {size} tasks")
            done.append(_run(app, argument, size))
            for line in lines_of(done[-1], Seconds(target)):
                say(line)
    say(f"The end: best of {len(done)} iterations {max(batch.rate for batch in done):.3f} tasks/second")
    return done


def lines_of(batch: Batch, target: Seconds) -> list[str]:
    """What is printed of *batch*, in the words of the reference's tool: who reads its output can read this."""
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
    """A function that does nothing. A closure, since closures travel whole: this module is not where workers are."""
    result = bytes(resultsize)

    def nothing(argument: str) -> bytes:  # noqa: ARG001 - it is there to travel
        return result

    return nothing
