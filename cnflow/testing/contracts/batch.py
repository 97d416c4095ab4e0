"""Contract of a dialect (`cnflow.providers.batch.dialect.Dialect`), on a scheduler that really runs jobs.

Derive a class from it in a test module, name it ``Test...``, and override these fixtures::

    hook (fixture)        gives                                                       must be overridden
    ─────────────────────────────────────────────────────────────────────────────────────────────────────
    settings              settings of the provider, for small jobs                    yes
    held                  line for `scheduler_options` by which a job waits           yes
    scheduler_down        function that returns a context in which the scheduler      yes
                          does not answer
    unknown_job           native id of no job                                         yes
    shortest_walltime     seconds of the shortest walltime of the scheduler, which    if it is not 2
                          it enforces; None skips the test of it
    nodes                 nodes of a job of several; 1 skips the test of that         if there are fewer than 2
    tells_ends            exit code and cause are known after a job's end             if no accounts are kept
    tells_whom            the message about a job that was cancelled says so          if no accounts are kept
    patience              seconds to wait for something, by default 60                if the scheduler is slow
    many                  jobs that are submitted at once, by default 50              if there is room for fewer
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from cnflow.errors import BlockError
from cnflow.ids import BlockId, NativeId, RunId
from cnflow.model.block import BlockRequest, BlockState, BlockStatus, EndCause, Refusal, Refused
from cnflow.model.image import NO_IMAGE
from cnflow.model.manager_settings import ManagerSettings
from cnflow.model.node_command import NodeCommand
from cnflow.providers.batch.provider import BatchBackend

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from cnflow.config.batch import BatchSettings

EXECUTOR = "htex"
Submit = Callable[..., NativeId]
Request = Callable[..., BlockRequest]
WaitFor = Callable[..., BlockStatus]


class BatchContract:
    """Promises of a dialect together with the driver; see the module for the hooks."""

    # Hooks

    @pytest.fixture
    def settings(self) -> BatchSettings:
        """Override: settings of the provider."""
        raise NotImplementedError

    @pytest.fixture
    def held(self) -> str:
        """Override: line of a submit script by which a job waits."""
        raise NotImplementedError

    @pytest.fixture
    def scheduler_down(self) -> Callable[[], AbstractContextManager[None]]:
        """Override: makes the scheduler not answer, within a context."""
        raise NotImplementedError

    @pytest.fixture
    def unknown_job(self) -> NativeId:
        """Override: native id of no job."""
        raise NotImplementedError

    @pytest.fixture
    def shortest_walltime(self) -> float | None:
        """Seconds of the shortest walltime."""
        return 2.0

    @pytest.fixture
    def nodes(self) -> int:
        """Nodes of a job of several nodes."""
        return 2

    @pytest.fixture
    def tells_ends(self) -> bool:
        """Exit code and cause are known after a job's end."""
        return True

    @pytest.fixture
    def tells_whom(self, tells_ends: bool) -> bool:  # noqa: FBT001 - a fixture
        """The message about a job that was cancelled says so."""
        return tells_ends

    @pytest.fixture
    def patience(self) -> float:
        """Seconds to wait for something."""
        return 60.0

    @pytest.fixture
    def many(self) -> int:
        """Jobs that are submitted at once."""
        return 50

    # Tools

    @pytest.fixture
    def backend(self, settings: BatchSettings) -> Iterator[BatchBackend]:
        """Make a provider, which has looked at its site."""
        made = BatchBackend(settings)
        made.prepare(NO_IMAGE)
        yield made
        made.close()

    @pytest.fixture
    def request_for(self, tmp_path: Path) -> Request:
        """Make a request: ``request_for("sleep 600", block="0", nodes=1, walltime=None)``."""
        run = RunId(f"test-{uuid.uuid4().hex[:12]}")

        def make(script: str, *, block: str = "0", nodes: int = 1, walltime: float | None = 600.0) -> BlockRequest:
            manager = ManagerSettings(hosts=(), endpoint="ipc:///nowhere", executor=EXECUTOR, block=block)
            command = NodeCommand(("sh", "-c", script))
            log_file = tmp_path / f"block-{block}.log"
            return BlockRequest(
                run, EXECUTOR, BlockId(block), NO_IMAGE, manager, log_file, nodes, walltime, command=command
            )

        return make

    @pytest.fixture
    def submit(self, backend: BatchBackend) -> Iterator[Submit]:
        """Submit a request, by default through `backend`; the job is cancelled at the end."""
        jobs: list[tuple[BatchBackend, NativeId]] = []

        def call(request: BlockRequest, by: BatchBackend = backend) -> NativeId:
            answer = by.submit([request])[request.block]
            assert not isinstance(answer, Refused), answer.words
            jobs.append((by, answer))
            return answer

        yield call
        for by, native in jobs:
            by.cancel([native])

    @pytest.fixture
    def wait_for(self, backend: BatchBackend, patience: float) -> WaitFor:
        """Wait until a job is in one of the states, and return its status: ``wait_for(native, BlockState.RUNNING)``."""

        def wait(native: NativeId, *states: BlockState, seconds: float = 0.0) -> BlockStatus:
            deadline = time.monotonic() + patience + seconds
            while True:
                status = backend.status([native]).get(native)
                if status is not None and status.state in states:
                    return status
                assert time.monotonic() < deadline, f"{native} is {status}"
                time.sleep(0.3)

        return wait

    # Life of a job

    def test_a_job_runs_and_prints_to_its_log(
        self, backend: BatchBackend, submit: Submit, request_for: Request, wait_for: WaitFor, patience: float
    ) -> None:
        """A job becomes RUNNING; `logs` returns what it printed."""
        native = submit(request_for("echo ready; exec sleep 600"))
        wait_for(native, BlockState.RUNNING)
        deadline = time.monotonic() + patience
        while b"ready" not in backend.logs(native, 0, 10):
            assert time.monotonic() < deadline
            time.sleep(0.3)

    def test_the_end_of_a_block_is_known_in_the_job(
        self, backend: BatchBackend, submit: Submit, request_for: Request, patience: float
    ) -> None:
        """The variable ``CNFLOW_BLOCK_ENDS_AT`` is there, and is not later than the walltime."""
        before = time.time()
        native = submit(request_for("echo ends at $CNFLOW_BLOCK_ENDS_AT; exec sleep 600", walltime=600.0))
        deadline = time.monotonic() + patience
        while b"ends at" not in (log := backend.logs(native, 0, 10)):
            assert time.monotonic() < deadline
            time.sleep(0.3)
        ends_at = float(log.partition(b"ends at")[2].split()[0])
        assert before < ends_at <= time.time() + 660

    def test_a_waiting_job_has_the_schedulers_reason(
        self, settings: BatchSettings, submit: Submit, request_for: Request, wait_for: WaitFor, held: str
    ) -> None:
        """A job that waits is PENDING, with a message."""
        waits = BatchBackend(settings.model_copy(update={"scheduler_options": held}))
        native = submit(request_for("true"), by=waits)
        status = wait_for(native, BlockState.PENDING)
        assert status.message
        waits.close()

    def test_a_job_that_succeeds_has_ended(
        self,
        submit: Submit,
        request_for: Request,
        wait_for: WaitFor,
        tells_ends: bool,  # noqa: FBT001 - a fixture
    ) -> None:
        """A job with exit code 0 is ENDED, or GONE without accounts."""
        native = submit(request_for("true"))
        status = wait_for(native, BlockState.ENDED, BlockState.GONE)
        assert (status.state is BlockState.ENDED) is tells_ends

    def test_a_job_that_fails_has_exit_code_and_output(
        self,
        backend: BatchBackend,
        submit: Submit,
        request_for: Request,
        wait_for: WaitFor,
        tells_ends: bool,  # noqa: FBT001 - a fixture
    ) -> None:
        """A job with exit code 3 is FAILED, or GONE without accounts; `logs` still has its output."""
        native = submit(request_for("echo cannot go on >&2; exit 3"))
        status = wait_for(native, BlockState.FAILED, BlockState.GONE)
        if tells_ends:
            assert (status.state, status.exit_code, status.cause) == (BlockState.FAILED, 3, EndCause.OTHER)
            assert "3" in status.message
        assert b"cannot go on" in backend.logs(native, 0, 10)

    def test_a_job_out_of_time_is_told_from_others(
        self,
        submit: Submit,
        request_for: Request,
        wait_for: WaitFor,
        shortest_walltime: float | None,
        tells_ends: bool,  # noqa: FBT001 - a fixture
    ) -> None:
        """The cause of the end is `EndCause.WALLTIME`."""
        if shortest_walltime is None:
            pytest.skip("the scheduler of this test ends no job by its walltime")
        native = submit(request_for("trap '' TERM; while :; do sleep 1; done", walltime=shortest_walltime))
        status = wait_for(native, BlockState.FAILED, BlockState.GONE, seconds=shortest_walltime + 60)
        if tells_ends:
            assert status.cause is EndCause.WALLTIME, status

    def test_a_job_that_somebody_cancels_is_told_from_others(
        self,
        settings: BatchSettings,
        submit: Submit,
        request_for: Request,
        wait_for: WaitFor,
        tells_whom: bool,  # noqa: FBT001 - a fixture
    ) -> None:
        """The cause of the end is `EndCause.USER`."""
        native = submit(request_for("exec sleep 600"))
        wait_for(native, BlockState.RUNNING)
        outside = BatchBackend(settings)
        assert outside.cancel([native]) == {}
        status = wait_for(native, BlockState.FAILED, BlockState.GONE)
        if tells_whom:
            assert status.cause is EndCause.USER, status
            assert status.message

    # What is not there

    def test_an_unknown_job_is_gone(self, backend: BatchBackend, unknown_job: NativeId) -> None:
        """`status` and `cancel` take an id that the scheduler does not have."""
        assert backend.status([unknown_job])[unknown_job].state is BlockState.GONE
        assert backend.cancel([unknown_job]) == {}

    def test_an_unknown_job_is_no_hindrance_for_others(
        self, backend: BatchBackend, submit: Submit, request_for: Request, unknown_job: NativeId, wait_for: WaitFor
    ) -> None:
        """One query has the states of all jobs that are there."""
        native = submit(request_for("exec sleep 600"))
        wait_for(native, BlockState.RUNNING)
        statuses = backend.status([unknown_job, native])
        assert statuses[native].state is BlockState.RUNNING
        assert statuses[unknown_job].state is BlockState.GONE

    def test_a_scheduler_that_does_not_answer_has_lost_no_job(
        self,
        backend: BatchBackend,
        submit: Submit,
        request_for: Request,
        wait_for: WaitFor,
        scheduler_down: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """`status` and `find` raise, and `submit` is refused, though not for good."""
        native = submit(request_for("exec sleep 600"))
        wait_for(native, BlockState.RUNNING)
        with scheduler_down():
            with pytest.raises(BlockError):
                backend.status([native])
            request = request_for("true", block="1")
            with pytest.raises(BlockError):
                backend.find(request.run, EXECUTOR)
            answer = backend.submit([request])[request.block]
            assert isinstance(answer, Refused)
            assert answer.kind is not Refusal.FOR_GOOD
        assert wait_for(native, BlockState.RUNNING).state is BlockState.RUNNING

    # Many jobs and nodes

    def test_many_jobs_are_submitted_and_cancelled_at_once(
        self, backend: BatchBackend, request_for: Request, many: int, patience: float
    ) -> None:
        """Each block has an id of its own; one call cancels them all."""
        template = request_for("exec sleep 600")
        requests = [request_for("exec sleep 600", block=str(number)) for number in range(many)]
        answers = backend.submit(requests)
        natives = [answer for answer in answers.values() if not isinstance(answer, Refused)]
        try:
            assert len(set(natives)) == many, [a.words for a in answers.values() if isinstance(a, Refused)]
            assert backend.status(natives).keys() <= set(natives)
            found = backend.find(template.run, EXECUTOR)
            assert found == answers
        finally:
            deadline = time.monotonic() + patience
            while (left := backend.cancel(natives)) and time.monotonic() < deadline:
                natives = list(left)
        assert left == {}
        assert backend.find(template.run, EXECUTOR) == {}

    def test_a_job_of_several_nodes_runs_on_each(
        self, settings: BatchSettings, submit: Submit, request_for: Request, nodes: int, patience: float
    ) -> None:
        """The launcher of the settings starts the command on each node."""
        if nodes == 1:
            pytest.skip("the scheduler of this test has one node")
        wide = BatchBackend(type(settings)(**{**settings.model_dump(exclude={"launcher"}), "nodes_per_block": nodes}))
        native = submit(request_for("echo here; exec sleep 600", nodes=nodes), by=wide)
        deadline = time.monotonic() + patience
        while wide.logs(native, 0, 100).count(b"here") < nodes:
            assert time.monotonic() < deadline, wide.logs(native, 0, 100)
            time.sleep(0.3)
        assert wide.cancel([native]) == {}
        wide.close()

    # After a driver's death

    def test_another_driver_finds_jobs_with_their_output_and_ends_them(
        self, settings: BatchSettings, submit: Submit, request_for: Request, wait_for: WaitFor, patience: float
    ) -> None:
        """`find`, `logs` and `cancel` of a new provider work on jobs that another one submitted."""
        requests = [request_for("echo ready; exec sleep 600", block=block) for block in ("3", "4")]
        natives = {request.block: submit(request) for request in requests}
        for native in natives.values():
            wait_for(native, BlockState.RUNNING)
        new = BatchBackend(settings)
        assert new.find(requests[0].run, EXECUTOR) == natives
        assert new.find(requests[0].run, "other") == {}
        deadline = time.monotonic() + patience
        while b"ready" not in new.logs(natives[BlockId("4")], 0, 10):
            assert time.monotonic() < deadline
            time.sleep(0.3)
        assert new.cancel(list(natives.values())) == {}
        assert new.find(requests[0].run, EXECUTOR) == {}
        new.close()
