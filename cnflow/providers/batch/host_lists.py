"""Lists of hosts as Slurm writes them: ``n[01-03,7],m1`` stands for n01, n02, n03, n7 and m1. No I/O."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PART = re.compile(r"(?:[^,\[\]]|\[[^\]]*\])+")
_PIECE = re.compile(r"\[([^\]]*)\]|([^\[]+)")


def expand(text: str) -> tuple[str, ...]:
    """Names of the hosts of a list, in its order; none for one that holds no name, such as ``(null)``.

    The form is that of ``scontrol show hostnames``: https://slurm.schedmd.com/scontrol.html (Slurm 25.05).
    """
    return tuple(name for part in _PART.findall(text) if not part.startswith("(") for name in _names(part))


def _names(part: str) -> Iterator[str]:
    pieces = [[*_numbers(ranges)] if ranges else [plain] for ranges, plain in _PIECE.findall(part)]
    return ("".join(name) for name in itertools.product(*pieces))


def _numbers(ranges: str) -> Iterator[str]:
    for each in ranges.split(","):
        first, _, last = each.partition("-")
        if last.isdigit() and first.isdigit():
            yield from (str(number).zfill(len(first)) for number in range(int(first), int(last) + 1))
        else:
            yield each
