"""Systems that are measured: a small module each, behind one interface."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from benchmarks.systems.base import System

FLOOR = "floor"
HTEX = "cnflow HTEX"
ENCRYPTED = "cnflow HTEX encrypted"
MONITORED = "cnflow HTEX monitored"
DOCKER = "cnflow HTEX Docker"
THREADS = "cnflow threads"
POOL = "ProcessPoolExecutor"


class Entry(NamedTuple):
    """Location and requirements of a system."""

    path: str
    """``module:Class`` below `benchmarks.systems`."""

    module: str
    """Module whose import is timed; empty if there is none."""

    requirement: str = ""
    """Package that pip installs into the peers' environment; empty if it is installed here."""


SYSTEMS = {
    FLOOR: Entry("floor:Floor", ""),
    HTEX: Entry("cnflow:HighThroughput", "cnflow"),
    ENCRYPTED: Entry("cnflow:Encrypted", "cnflow"),
    MONITORED: Entry("cnflow:Monitored", "cnflow"),
    DOCKER: Entry("cnflow:Docker", "cnflow"),
    THREADS: Entry("cnflow:Threads", "cnflow"),
    POOL: Entry("process_pool:ProcessPool", "concurrent.futures.process"),
    "Parsl HTEX": Entry("parsl:HighThroughput", "parsl", "parsl"),
    "Parsl HTEX encrypted": Entry("parsl:Encrypted", "parsl", "parsl"),
    "Parsl threads": Entry("parsl:Threads", "parsl", "parsl"),
    "Dask distributed": Entry("dask:Dask", "distributed", "distributed"),
    "Ray": Entry("ray:Ray", "ray", "ray"),
    "ipyparallel": Entry("ipyparallel:Ipyparallel", "ipyparallel", "ipyparallel"),
    "executorlib": Entry("executorlib:Executorlib", "executorlib", "executorlib"),
}
"""By name, in the order of the table."""


def make(name: str) -> System:
    """Import a system and return it, not started.

    Raises:
        ImportError: the system is not installed.
    """
    module, _, cls = SYSTEMS[name].path.partition(":")
    made: System = getattr(importlib.import_module(f"benchmarks.systems.{module}"), cls)()
    return made
