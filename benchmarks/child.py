"""Runs one system in a process of its own: ``python -m benchmarks.child SYSTEM SIZES WORK...``.

Prints one line of JSON for ``first``, for each work, and for ``stop``: ``{"work": ..., "figures": {...}}``, or
``"problem"`` in place of figures. All other output of the system goes to stderr.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from typing import IO


def main() -> None:
    """Start the system, run the works in order, stop it."""
    lines = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    name, sizes_text, *works = sys.argv[1:]
    from benchmarks import functions, systems

    begin = time.perf_counter()
    try:
        system = systems.make(name)
    except ImportError as error:
        return _print_line(lines, "first", problem=f"cannot be imported: {error}")
    if reason := system.missing():
        return _print_line(lines, "first", problem=reason)
    system.start()
    assert system.results([system.app(functions.noop)()]) == [None]
    _print_line(lines, "first", {"s": time.perf_counter() - begin})

    from benchmarks.work import WORKS, NotApplicableError, Sizes

    sizes = Sizes(*json.loads(sizes_text))
    for work in works:
        try:
            gc.collect()  # garbage of the work before
            _print_line(lines, work, WORKS[work].run(system, sizes))
        except NotApplicableError as reason:
            _print_line(lines, work, problem=f"not applicable: {reason}")
        except Exception as error:  # noqa: BLE001 - whatever a peer raises is its result
            _print_line(lines, work, problem=f"{type(error).__name__}: {error}"[:300])
    begin = time.perf_counter()
    system.stop()
    return _print_line(lines, "stop", {"s": time.perf_counter() - begin})


def _print_line(lines: IO[str], work: str, figures: dict[str, float] | None = None, problem: str = "") -> None:
    lines.write(json.dumps({"work": work, "figures": figures or {}, "problem": problem}) + "\n")


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # without waiting for threads that a peer left behind
