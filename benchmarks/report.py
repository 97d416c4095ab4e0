"""Report of a run: all figures, a sample for each repeat, and the problems."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path


class Column(NamedTuple):
    """Column of the table: one figure."""

    key: str
    """``work.figure``."""

    head: str
    """Two lines of the head, separated by ``|``."""

    more_is_better: bool
    scale: float = 1.0
    """Factor from the figure to the shown number."""

    places: int = 0


COLUMNS = (
    Column("import.s", "import|ms", more_is_better=False, scale=1e3),
    Column("first.s", "first|s", more_is_better=False, places=2),
    Column("bare.s", "docker|run, s", more_is_better=False, places=2),
    Column("burst.per_s", "no-ops|/s", more_is_better=True),
    Column("large.per_s", "10 x n|no-ops/s", more_is_better=True),
    Column("trip.p50_ms", "p50|ms", more_is_better=False, places=2),
    Column("trip.p99_ms", "p99|ms", more_is_better=False, places=2),
    Column("megabytes.mb_per_s", "1 MB|MB/s", more_is_better=True),
    Column("arrays.mb_per_s", "8 MB|MB/s", more_is_better=True),
    Column("chain.per_s", "chain|tasks/s", more_is_better=True),
    Column("fan.per_s", "fan|tasks/s", more_is_better=True),
    Column("bash.per_s", "bash|/s", more_is_better=True),
    Column("memory.bytes", "KB each|waiting", more_is_better=False, scale=1e-3, places=2),
    Column("fresh.each_s", "fresh|s each", more_is_better=False, places=2),
    Column("fresh.per_s", "fresh|/s", more_is_better=True, places=2),
    Column("stop.s", "stop|s", more_is_better=False, places=2),
)
_MORE_IS_BETTER = {column.key for column in COLUMNS if column.more_is_better}


@dataclass
class Report:
    """Figures by system and ``work.figure``, a sample for each repeat."""

    facts: dict[str, str] = field(default_factory=dict)
    """Machine, versions and time of the run."""

    samples: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    problems: dict[str, dict[str, str]] = field(default_factory=dict)
    """Reason why there is no figure, by system and work."""

    def add(self, system: str, work: str, figures: dict[str, float], problem: str = "") -> None:
        """Add a sample of each of *figures*, or the reason why there is none."""
        mine = self.samples.setdefault(system, {})
        for name, value in figures.items():
            mine.setdefault(f"{work}.{name}", []).append(value)
        if problem:
            self.problems.setdefault(system, {})[work] = problem

    def best(self, system: str, key: str) -> float | None:
        """Return the best sample, which is the least disturbed: machines are shared."""
        found = self.samples.get(system, {}).get(key)
        if not found:
            return None
        return max(found) if key in _MORE_IS_BETTER else min(found)

    def middle(self, system: str, key: str) -> float | None:
        """Return the median of the samples."""
        found = self.samples.get(system, {}).get(key)
        return statistics.median(found) if found else None

    def ratio(self, system: str, other: str, key: str) -> float | None:
        """Return the best of *system* divided by the best of *other*; None if either is missing."""
        one, two = self.best(system, key), self.best(other, key)
        return one / two if one is not None and two else None

    def save(self, path: Path) -> None:
        """Write the report as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")


def load(path: Path) -> Report:
    """Read a report that `Report.save` wrote."""
    return Report(**json.loads(path.read_text()))
