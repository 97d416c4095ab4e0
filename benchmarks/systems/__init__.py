"""How each system is used, one small module each, behind one interface."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from benchmarks.systems.base import System

FLOOR = "floor"
HTEX = "cnflow HTEX"
ENCRYPTED = "cnflow HTEX encrypted"
DOCKER = "cnflow HTEX Docker"
THREADS = "cnflow threads"
POOL = "ProcessPoolExecutor"


class Entry(NamedTuple):
    """Where a system is, and what it needs."""

    path: str
    """``module:Class`` below `benchmarks.systems`."""

    module: str
    """What importing the system means; empty where there is no such thing."""

    requirement: str = ""
    """What pip installs into the peers' environment; empty for what is here anyway."""


SYSTEMS = {
    FLOOR: Entry("floor:Floor", ""),
    HTEX: Entry("cnflow:HighThroughput", "cnflow"),
    ENCRYPTED: Entry("cnflow:Encrypted", "cnflow"),
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
    """A system that is not started. Imports it.

    Raises:
        ImportError: it is not installed.
    """
    module, _, cls = SYSTEMS[name].path.partition(":")
    made: System = getattr(importlib.import_module(f"benchmarks.systems.{module}"), cls)()
    return made
