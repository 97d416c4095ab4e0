"""Where and when a task ran, and in what: ``AppFuture.provenance``.

::

    manager ──registers, once──> Place ─────────────┐
    result  ──number of its manager, time of end──> └──> the task's future ──asked──> Provenance
"""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
from typing import Any, NamedTuple, Optional

from cnflow.model.packages import digest_of_packages, installed_packages


class Place(NamedTuple):
    """What all tasks of one manager have in common; for a task in the driver, its process."""

    run: str
    """Id of the run."""

    executor: str
    image: str = ""
    """Reference, as the user wrote it; empty outside of images."""

    digest: str = ""
    """``REPOSITORY@sha256:...`` by which a registry has the image; empty for one that was never in a registry."""

    image_id: str = ""
    """Id of the image in its engine, which stands for its content; empty outside of images."""

    host: str = ""
    """Name of the machine, or of the container, as it names itself."""

    block: str = ""
    """Id within the executor."""

    manager: str = ""
    """Id, as in logs and events."""

    python: str = ""
    """Version of the Python that ran the task, such as ``3.11.2``."""

    packages: str = ""
    """Digest of the names and versions of that Python's packages; equal where they are."""

    def complete(self) -> Place:
        """Return this place with `packages` if it is the driver itself, which does not list them before it is asked."""
        return self if self.manager or self.packages else self._replace(packages=_own_packages())


def driver_place(run: str, executor: str) -> Place:
    """Return the place of tasks that an executor runs in this process."""
    python = ".".join(str(number) for number in sys.version_info[:3])
    return Place(run, executor, host=os.uname().nodename, python=python)


class Origin(NamedTuple):
    """Place and times of the last attempt at a task: what is kept with a remembered result."""

    place: Place
    started: Optional[float]
    ended: Optional[float]
    attempts: int


@functools.lru_cache(maxsize=1)
def _own_packages() -> str:
    return digest_of_packages(installed_packages())


@dataclasses.dataclass(frozen=True)
class Provenance:
    """Where and when a task ran, and in what. What is not known is empty, or None.

    The fields are those of the last attempt. A task that has not ended has only `run`, `executor`, `submitted` and
    `attempts`; so has one that never ran.
    """

    task: int
    app: str
    run: str = ""
    """Id of the run; of a cached result, that of the run which made it, and all fields of a place are those of then."""

    executor: str = ""
    image: str = ""
    """Reference, as the user wrote it; empty outside of images."""

    digest: str = ""
    """``REPOSITORY@sha256:...`` by which a registry has the image; empty for one that was never in a registry."""

    image_id: str = ""
    """Id of the image in its engine, which stands for its content: the same on every Docker engine and in Podman."""

    host: str = ""
    """Name of the machine, or of the container, as it names itself."""

    block: str = ""
    """Id within the executor; empty for a task that ran in the driver."""

    manager: str = ""
    """Id, as in logs and events; empty for a task that ran in the driver."""

    python: str = ""
    """Version of the Python that ran the task, such as ``3.11.2``."""

    packages: str = ""
    """Digest of the names and versions of that Python's packages: equal where they are."""

    submitted: Optional[float] = None
    """Unix time of the call, by the driver's clock."""

    started: Optional[float] = None
    """Unix time at which the last attempt began, by the clock of its node."""

    ended: Optional[float] = None
    """Unix time of its end, by the same clock; by the driver's where no worker reported one."""

    attempts: int = 0
    """Attempts that were begun."""

    is_cached: bool = False
    """The result was remembered: the task itself did not run."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name, as JSON and tables take them."""
        return dataclasses.asdict(self)
