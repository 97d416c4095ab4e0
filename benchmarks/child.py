"""One system in a process of its own: ``python -m benchmarks.child SYSTEM SIZES WORK...``.

Prints one line of JSON for ``first``, for each work, and for ``stop``: ``{"work": ..., "figures": {...}}``, or
``"problem"`` in place of figures. What others print goes to stderr.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from typing import IO


def main() -> None:
    """Start, do the works in order, stop."""
    lines = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    name, sizes_text, *works = sys.argv[1:]
    from benchmarks import functions, systems

    begin = time.perf_counter()
    try:
        system = systems.make(name)
    except ImportError as error:
        return _tell(lines, "first", problem=f"cannot be imported: {error}")
    if reason := system.missing():
        return _tell(lines, "first", problem=reason)
    system.start()
    assert system.results([system.app(functions.noop)()]) == [None]
    _tell(lines, "first", {"s": time.perf_counter() - begin})

    from benchmarks.work import WORKS, NotApplicableError, Sizes

    sizes = Sizes(*json.loads(sizes_text))
    for work in works:
        try:
            gc.collect()  # of the work before
            _tell(lines, work, WORKS[work].run(system, sizes))
        except NotApplicableError as reason:
            _tell(lines, work, problem=f"not applicable: {reason}")
        except Exception as error:  # noqa: BLE001 - whatever a peer raises is its result
            _tell(lines, work, problem=f"{type(error).__name__}: {error}"[:300])
    begin = time.perf_counter()
    system.stop()
    return _tell(lines, "stop", {"s": time.perf_counter() - begin})


def _tell(lines: IO[str], work: str, figures: dict[str, float] | None = None, problem: str = "") -> None:
    lines.write(json.dumps({"work": work, "figures": figures or {}, "problem": problem}) + "\n")


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # what a peer has left behind is not waited for
