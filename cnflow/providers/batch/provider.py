"""Provider of blocks that are jobs of a batch scheduler; the scheduler itself is behind a `Dialect`.

::

    submit ── tar ──> SITE_DIR/runs/RUN/EXECUTOR/   NAME.settings.0 (0600), NAME.sh, later NAME.out
           ── sbatch NAME.sh ──> ids                one submission for blocks of consecutive numbers
    status ── squeue ──> states                     jobs that ended, once: ── sacct ──> cause, exit code
    find   ── squeue ──> names ──> blocks
    cancel ── scancel ──> asked until no job is listed any more, 10 s at most

All commands run through the channel of the settings. No file of a site is kept in memory, but the names of its jobs.
"""

from __future__ import annotations

import contextlib
import posixpath
import time
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from cnflow.addresses import addresses_of_this_machine
from cnflow.config.registry import backend_of, load
from cnflow.errors import BlockError, BlockRejectedError, ChannelError
from cnflow.model.block import BlockState, BlockStatus, Refusal, Refused
from cnflow.model.finding import Finding, Verdict
from cnflow.providers._shared.site_containers import SiteContainers
from cnflow.providers.batch.ended import EndedJobs
from cnflow.providers.batch.ends import end_status
from cnflow.providers.batch.files import JobFiles, JobPaths
from cnflow.providers.batch.jobs import Job, block_in, element_name, jobs_of, run_and_executor
from cnflow.providers.batch.queues import QUEUES, problem_with
from cnflow.providers.batch.requests import job_request, preview_of
from cnflow.sites.folder import SiteFolder
from cnflow.sites.own_builds import build_here
from cnflow.text import elide_middle
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from cnflow.config.batch import BatchSettings
    from cnflow.ids import BlockId, NativeId, RunId
    from cnflow.interfaces.channel import Channel, Completed
    from cnflow.interfaces.provider import Stop
    from cnflow.model.block import BlockRequest
    from cnflow.model.image import Image
    from cnflow.providers.batch.dialect import Dialect

T = TypeVar("T")

_NOT_FOUND = 127
_STARTS_PERIOD = 60.0
_LOOKS = (0.2, 0.4, 0.8, 1.5, 2.5, 4.0)
"""Seconds between the looks at jobs that were cancelled."""


class BatchBackend:
    """Submits jobs. A native id is that of the scheduler, with the element of an array.

    Args:
        settings: what the user wrote.
        channel: to the site; None makes the one of the settings.
        pause: called to wait; a test waits by other means.
        now: gives the time.
    """

    def __init__(
        self,
        settings: BatchSettings,
        *,
        channel: Channel | None = None,
        pause: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._dialect: Dialect = load(settings.dialect, f"The provider {settings.kind!r}")
        self._dialect.refuse(settings)
        self._channel: Channel = channel or backend_of(settings.channel)(settings.channel)
        self._timeout = Seconds(settings.cmd_timeout)
        self._site = SiteFolder(self._channel, settings.site_dir, timeout=self._timeout)
        self._containers = SiteContainers(settings, self._site)
        self._files = JobFiles(self._site)
        self._ended = EndedJobs(self._dialect.name)
        self._starts: Mapping[NativeId, str] = {}
        self._next_starts = 0.0
        self._pause = pause
        self._now = now

    def endpoint_hosts(self) -> Collection[str]:
        """Addresses of this machine, which nodes must be able to reach."""
        return addresses_of_this_machine()

    def build(self, image: Image, log: Path) -> None:
        """Build *image*, which has a recipe, by the engine of this machine, from where it is sent."""
        build_here(image, log)

    def prepare(self, image: Image) -> str:
        """See that the site can be reached and has the scheduler, and bring cnflow's code and *image* there.

        Raises:
            BlockRejectedError: its commands are not found, or *image* cannot run.
        """
        self._channel.open()
        programs = (*self._dialect.programs, *(self._containers.programs if image else ()))
        found = {posixpath.basename(path) for path in self._site.facts(programs).found}
        if self._dialect.programs[0] not in found:
            raise BlockRejectedError(self._no_program(self._dialect.programs[0]))
        if image:
            return self._containers.prepare(image)
        self._site.bare_node(self._settings.python, carries=not self._settings.has_shared_files)
        return ""

    def submit(self, requests: Sequence[BlockRequest]) -> Mapping[BlockId, NativeId | Refused]:
        """Submit jobs, and arrays of jobs for blocks of consecutive numbers."""
        answers: dict[BlockId, NativeId | Refused] = {}
        for job in jobs_of(requests, has_arrays=self._dialect.has_arrays and self._settings.job_arrays):
            answers.update(zip([request.block for request in job.requests], self._submit_in_parts(job), strict=True))
        return answers

    def find(self, run: RunId, executor: str) -> Mapping[BlockId, NativeId]:
        """Find jobs by their names."""
        dialect = self._dialect
        names = self._ask(dialect.find_command(self._settings), dialect.found_in)
        found: dict[BlockId, NativeId] = {}
        for native, name in names.items():
            element = dialect.element_of(native)
            block = block_in(name, element, run, executor)
            if block is not None:
                found[block] = native
                self._files.add(native, JobPaths.of(run, executor, name, element))
        return found

    def find_all(self) -> Mapping[NativeId, str]:
        """Find the jobs of this user whose names are those of blocks, with the block of an array's element."""
        dialect = self._dialect
        names = self._ask(dialect.find_command(self._settings), dialect.found_in)
        whole = {native: element_name(name, dialect.element_of(native)) for native, name in names.items()}
        for native, name in names.items():
            if of_run := run_and_executor(name):
                self._files.add(native, JobPaths.of(*of_run, name, dialect.element_of(native)))
        return {native: name for native, name in whole.items() if name}

    def status(self, blocks: Collection[NativeId]) -> Mapping[NativeId, BlockStatus]:
        """Ask for all jobs at once, and then the accounting for those that have ended since."""
        if not blocks:
            return {}
        dialect, settings, asked = self._dialect, self._settings, list(blocks)
        listed = self._ask(dialect.status_command(settings, asked), dialect.states_of)
        wanted = self._ended.to_ask(asked, listed)
        accounts: Mapping[NativeId, BlockStatus] | None = None
        if wanted and (command := dialect.ended_command(settings, wanted)) is not None:
            with contextlib.suppress(ChannelError):  # the queue has answered, which is enough
                accounts = dialect.ends_of(self._run(command))
        now = Seconds(self._now())
        statuses = self._ended.statuses(asked, listed, accounts, now)
        statuses |= self._recorded_ends(statuses)
        self._files.on_over([each for each in asked if self._is_over(each, statuses, now)], dialect.first_index)
        return statuses | self._expected_starts(statuses, now)

    def watch(self, changed: Callable[[], None]) -> Stop | None:  # noqa: ARG002 - part of the seam
        """Return None: schedulers are polled."""
        return None

    def cancel(self, blocks: Collection[NativeId]) -> Mapping[NativeId, str]:
        """Cancel jobs, and look until the scheduler lists none of them as living."""
        if not blocks:
            return {}
        asked = list(blocks)
        done = self._run(self._dialect.cancel_command(self._settings, asked))
        refused = dict(self._dialect.not_cancelled(done, asked))
        left = self._wait_for_ends([native for native in asked if native not in refused])
        over = [native for native in asked if native not in left and native not in refused]
        self._files.on_over(over, self._dialect.first_index)
        return refused | dict.fromkeys(left, f"{self._dialect.name} still lists it")

    def logs(self, block: NativeId, node: int, last: int) -> bytes:  # noqa: ARG002 - all nodes print to one file
        """Read the output of the job, at the site."""
        paths = self._files.paths_of(block)
        if paths is None:
            return b""
        path = self._site.path_of(paths.output(self._dialect.first_index))
        done = self._run(["tail", "-n", str(last), path])
        return done.stdout.strip().encode() if done.exit_code == 0 else b""

    def preview(self, request: BlockRequest) -> Mapping[str, object]:
        """The submit script and the command that submits it; folders of the site are shown as ``SITE_DIR``."""
        return preview_of(self._settings, self._dialect, request)

    def check(self) -> Sequence[Finding]:
        """Check that the site is reached, has the scheduler's commands, and that the scheduler answers."""
        about = f"{self._dialect.name} on {self._channel.name}"
        try:
            self._channel.open()
            found = {posixpath.basename(path) for path in self._site.facts(self._dialect.programs).found}
            if missing := [name for name in self._dialect.programs if name not in found]:
                return [Finding(about, Verdict.BAD, self._no_program(missing[0]))]
            jobs = self._ask(self._dialect.find_command(self._settings), self._dialect.found_in)
        except BlockError as error:
            words, _, advice = str(error).partition("\n")
            return [Finding(about, Verdict.BAD, words, advice)]
        return [Finding(about, Verdict.GOOD, f"answers; you have {len(jobs)} jobs"), *self._check_queue(about)]

    def probe_node(
        self, addresses: Sequence[str], ports: tuple[int, int], programs: Sequence[str], timeout: Seconds
    ) -> Sequence[Finding]:
        """See `cnflow.interfaces.provider.ProbesNodes`."""
        from cnflow.providers.batch.probe_job import Probe, ProbeJob  # noqa: PLC0415 - no run needs it

        probe = Probe(addresses or self._site.facts().addresses, ports, programs, timeout)
        return ProbeJob(self._settings, self._dialect, self._site, self._pause).run(probe)

    def close(self) -> None:
        """Close the channel; jobs run on."""
        self._channel.close()

    def _check_queue(self, about: str) -> list[Finding]:
        if self._settings.kind not in QUEUES:
            return []
        done = self._run(QUEUES[self._settings.kind].command(self._settings))
        problem, _, advice = problem_with(self._settings, done).partition("\n")
        return [Finding(about, Verdict.BAD, problem, advice)] if problem else []

    def _submit_in_parts(self, job: Job) -> list[NativeId | Refused]:
        """Return the answer for each element of *job*; an array that exceeds a limit is halved until a part fits."""
        answer = self._submit(job)
        if not isinstance(answer, Refused):
            return list(answer)
        half = len(job.requests) // 2
        if half and answer.kind is Refusal.BUSY and not isinstance(answer.error, ChannelError):
            first = self._submit_in_parts(Job(job.requests[:half]))
            if not any(isinstance(each, Refused) for each in first):
                return [*first, *self._submit_in_parts(Job(job.requests[half:]))]
            return [*first, *[answer] * (len(job.requests) - half)]
        return [answer] * len(job.requests)

    def _submit(self, job: Job) -> list[NativeId] | Refused:
        """Return the native ids of the elements of *job*, or why there are none."""
        dialect = self._dialect
        try:
            request, files = job_request(self._settings, dialect, self._site, self._containers, job)
            script = dialect.submit_script(self._settings, request)
            path = self._files.send(job, script, files)
        except ChannelError as error:  # nothing was started, and nothing is wrong with the block
            return Refused(Refusal.BUSY, str(error), error)
        except BlockError as error:
            return Refused.by(error)
        try:
            done = self._run(dialect.submit_command(self._settings, path))
        except ChannelError as error:
            return Refused(Refusal.UNKNOWN, str(error), error)
        if done.exit_code:
            with contextlib.suppress(ChannelError):  # the refusal is known
                self._files.remove(job)
            return self._refusal(done)
        return self._accepted(job, done)

    def _accepted(self, job: Job, done: Completed) -> list[NativeId] | Refused:
        try:
            natives = self._dialect.job_ids_of(done, len(job.requests))
        except ValueError as error:
            return Refused(Refusal.UNKNOWN, str(error))
        for element, (native, request) in enumerate(zip(natives, job.requests, strict=True)):
            paths = JobPaths(request.run, request.executor, job.name, element, is_array=len(natives) > 1)
            self._files.on_submitted(native, Seconds(self._now()))
            self._files.add(native, paths, None if self._channel.is_local else request.log_file)
            if self._channel.is_local:
                _link(request.log_file, self._site.path_of(paths.output(self._dialect.first_index)))
        return natives

    def _is_over(self, native: NativeId, statuses: Mapping[NativeId, BlockStatus], now: Seconds) -> bool:
        """Return whether a job needs its keys no more: one that is not listed yet may start."""
        state = statuses[native].state if native in statuses else BlockState.UNKNOWN
        if state is BlockState.GONE:
            return not self._files.may_be_unlisted(native, now, self._settings.traits().status_lag)
        return state.is_final

    def _refusal(self, done: Completed) -> Refused:
        if done.exit_code == _NOT_FOUND:
            return Refused.by(BlockRejectedError(self._no_program(self._dialect.programs[0])))
        refused = self._dialect.refusal_of(done)
        if refused.kind is Refusal.FOR_GOOD and refused.error is None:
            return Refused.by(BlockRejectedError(refused.words))
        return refused

    def _wait_for_ends(self, natives: list[NativeId]) -> list[NativeId]:
        """Return those of *natives* that are listed as living after some seconds."""
        dialect, left = self._dialect, natives
        for seconds in (0.0, *_LOOKS):
            if not left:
                break
            self._pause(seconds)
            listed = self._ask(dialect.status_command(self._settings, left), dialect.states_of)
            left = [native for native in left if native in listed and not listed[native].state.is_final]
        return left

    def _expected_starts(self, statuses: Mapping[NativeId, BlockStatus], now: float) -> dict[NativeId, BlockStatus]:
        """Return waiting jobs with the times at which they are expected to start; these are asked for once a minute."""
        waiting = [native for native, status in statuses.items() if status.state is BlockState.PENDING]
        if waiting and now >= self._next_starts:
            command = self._dialect.expected_start_command(self._settings, waiting)
            self._next_starts = now + _STARTS_PERIOD
            if command is not None:
                with contextlib.suppress(ChannelError):  # the states are known
                    self._starts = self._dialect.expected_starts_of(self._run(command))
        told = [native for native in waiting if native in self._starts]
        return {native: _with_start(statuses[native], self._starts[native]) for native in told}

    def _recorded_ends(self, statuses: Mapping[NativeId, BlockStatus]) -> dict[NativeId, BlockStatus]:
        """Return the ends of jobs that the scheduler has forgotten, where they recorded their exit codes themselves."""
        gone = [native for native, status in statuses.items() if status.state is BlockState.GONE]
        try:
            codes = self._files.exit_codes(gone, self._dialect.first_index)
        except ChannelError:  # that they are gone is known
            return {}
        return {native: end_status("", exit_code=code) for native, code in codes.items()}

    def _run(self, argv: Sequence[str]) -> Completed:
        return self._channel.run(argv, timeout=self._timeout)

    def _ask(
        self, argv: Sequence[str], parse: Callable[[Completed], Mapping[NativeId, T] | None]
    ) -> Mapping[NativeId, T]:
        """Run a query.

        Raises:
            BlockError: the scheduler did not answer.
        """
        done = self._run(argv)
        answer = parse(done)
        if answer is None:
            said = done.stderr.strip() or done.stdout.strip() or f"{argv[0]} exited with code {done.exit_code}"
            raise BlockError(f"{self._dialect.name} on {self._channel.name} does not answer: {_brief(said)}")
        return answer

    def _no_program(self, name: str) -> str:
        advice = (
            "Run the script on a login node of the cluster, or reach one by channel=SSHChannel(host='login.site.org')"
            if self._channel.is_local
            else "Name a login node of the cluster as the channel's host"
        )
        return (
            f"The command {name} of {self._dialect.name} is not found on {self._channel.name}.\n{advice}; if a module "
            "or a profile defines it, load that first."
        )


def _brief(said: str) -> str:
    """First and last lines of what a program *said*: another system's of that name lists its options."""
    return "\n".join(elide_middle(said.splitlines()))


def _with_start(status: BlockStatus, start: str) -> BlockStatus:
    return replace(status, message=f"{status.message}; expected to start at {start}")


def _link(log_file: Path, target: str) -> None:
    """Make the block's log file a link to the output of its job, which this machine sees."""
    with contextlib.suppress(OSError):  # a file system without links: `cnflow logs` asks the provider then
        log_file.unlink(missing_ok=True)
        log_file.symlink_to(target)
