"""Ids of a run's trace and spans, made from the ids of run, task and try: each process makes the same ones. No I/O."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def trace_id(run: str) -> int:
    """Id of the trace of *run*; 16 bytes, not 0."""
    return _number(f"trace {run}", 16)


def run_span(run: str) -> int:
    """Id of the span of *run*, the root of its trace; 8 bytes, not 0, as all that follow."""
    return _number(f"run {run}", 8)


def task_span(run: str, task: int) -> int:
    """Id of the span of *task*."""
    return _number(f"task {run} {task}", 8)


def try_span(run: str, task: int, attempt: int) -> int:
    """Id of the span of the try number *attempt* of *task*."""
    return _number(f"try {run} {task} {attempt}", 8)


def task_variables(run: str, task: int) -> Mapping[str, str]:
    """Environment variables of *task*, by which spans that its code makes become children of the task's span.

    The form is that of https://www.w3.org/TR/trace-context/#traceparent-header, with the flag "sampled".
    """
    return {"TRACEPARENT": f"00-{trace_id(run):032x}-{task_span(run, task):016x}-01"}


def _number(text: str, size: int) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:size], "big") or 1
