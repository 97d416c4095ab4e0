"""The dialect of one batch scheduler: its script, its commands and their output, as pure functions.

::

    JobRequest ──submit_script──> text ──submit_command──> sbatch ... ──job_ids_of──> native ids
    native ids ──status_command──> squeue ... ──states_of──> states        absent: not listed any more
    native ids ──ended_command───> sacct ...  ──ends_of────> states of those that ended, with cause and exit code
    name       ──find_command────> squeue ... ──found_in───> names and native ids
    native ids ──cancel_command──> scancel ...

`cnflow.providers.batch.provider` runs the commands through a channel; a dialect never does. Run the contract
`cnflow.testing.contracts.batch.BatchContract` on a new one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.config.batch import BatchSettings
    from cnflow.ids import NativeId
    from cnflow.interfaces.channel import Completed
    from cnflow.model.block import BlockStatus, Refused
    from cnflow.units import Seconds


@dataclass(frozen=True)
class JobRequest:
    """One job, or an array of equal jobs."""

    name: str
    """Of the job; a block is found again by it. Elements of an array share the name of the array."""

    nodes: int
    walltime: Seconds | None
    body: str
    """POSIX sh for the first node; its element is ``$CNFLOW_ARRAY_INDEX``, which is set from `index_variable`."""

    output: str
    """Absolute path of the job's stdout and stderr at the site. In an array a dialect appends ``.`` and the scheduler's
    mark of the element, so that element 0 prints to ``OUTPUT.0``, or ``OUTPUT.1`` where `Dialect.first_index` is 1."""

    size: int = 1
    """Elements of the array; 1 is no array."""

    files: tuple[str, ...] = ()
    """Absolute paths at the site of files and folders that the job needs, where `BatchSettings.has_shared_files` is
    False: the scheduler brings them to the node, and the job finds them in its first folder, by their last names."""

    element_files: tuple[str, ...] = ()
    """The same, of files that each element has for itself: ``PATH.0`` for the first, also where there is no array."""


class Dialect(Protocol):
    """One scheduler. Pure: no I/O, no state.

    Attributes:
        name: of the scheduler, for messages.
        programs: that must be found at the site; the first is the one that submits.
        has_arrays: one submission can ask for several jobs.
        index_variable: variable with the number of the element in its job; empty without arrays.
        first_index: number of the first element in the scheduler's own count: 0 or 1.
    """

    name: str
    programs: Sequence[str]
    has_arrays: bool
    index_variable: str
    first_index: int

    def refuse(self, settings: BatchSettings) -> None:
        """Check what the scheduler cannot do.

        Raises:
            ConfigurationError: an option, or options that contradict each other.
        """

    def submit_script(self, settings: BatchSettings, request: JobRequest) -> str:
        """Text of the script; begins with ``#!/bin/sh`` or is a submit description."""

    def submit_command(self, settings: BatchSettings, path: str) -> list[str]:
        """Command that submits the script at *path*."""

    def job_ids_of(self, output: Completed, size: int) -> list[NativeId]:
        """Native ids of the *size* elements of a submission that succeeded, in order.

        Raises:
            ValueError: the output has none.
        """

    def element_of(self, native: NativeId) -> int:
        """Number of an element in its array, counted from 0; 0 for a job that is no array."""

    def refusal_of(self, output: Completed) -> Refused:
        """Answer to a submission that failed: is it busy, or wrong for good? With the user's next step."""

    def status_command(self, settings: BatchSettings, ids: Sequence[NativeId]) -> list[str]:
        """One query for all of *ids*."""

    def states_of(self, output: Completed) -> Mapping[NativeId, BlockStatus] | None:
        """States by native id; a waiting job's message is the scheduler's reason. None: it did not answer."""

    def ended_command(self, settings: BatchSettings, ids: Sequence[NativeId]) -> list[str] | None:
        """Query of the scheduler's accounting for jobs that are not listed any more; None if it has none."""

    def ends_of(self, output: Completed) -> Mapping[NativeId, BlockStatus] | None:
        """Final states, with cause and exit code; None: it did not answer, or keeps no accounts."""

    def find_command(self, settings: BatchSettings) -> list[str]:
        """Query of all jobs of this user that have not ended."""

    def found_in(self, output: Completed) -> Mapping[NativeId, str] | None:
        """Names of those jobs; None: it did not answer."""

    def cancel_command(self, settings: BatchSettings, ids: Sequence[NativeId]) -> list[str]:
        """Command that ends *ids*; those that are gone are no error, see `cancelled`."""

    def not_cancelled(self, output: Completed, ids: Sequence[NativeId]) -> Mapping[NativeId, str]:
        """Those of *ids* whose end the scheduler did not accept, with its words."""

    def expected_start_command(self, settings: BatchSettings, ids: Sequence[NativeId]) -> list[str] | None:
        """Query of the times at which waiting jobs are expected to start; None if the scheduler tells none."""

    def expected_starts_of(self, output: Completed) -> Mapping[NativeId, str]:
        """Those times, in the scheduler's words."""
