"""Arrays of blocks and their names, ends of jobs, and the body of a job."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from cnflow.ids import BlockId, NativeId, RunId
from cnflow.model.block import BlockRequest, BlockState, BlockStatus, EndCause
from cnflow.model.image import NO_IMAGE
from cnflow.model.manager_settings import ManagerSettings
from cnflow.providers.batch.ended import EndedJobs
from cnflow.providers.batch.jobs import block_in, element_name, jobs_of
from cnflow.providers.batch.script import ELEMENT, Body, render

RUN = RunId("run")


def request(block):
    manager = ManagerSettings(hosts=(), endpoint="", executor="htex", block=block)
    return BlockRequest(RUN, "htex", BlockId(block), NO_IMAGE, manager, Path("log"))


def test_consecutive_blocks_are_an_array():
    jobs = jobs_of([request(block) for block in ("4", "5", "6", "9")], has_arrays=True)
    assert [job.name for job in jobs] == ["cnflow-run-htex-4.6", "cnflow-run-htex-9"]
    assert [job.name for job in jobs_of([request("4"), request("5")], has_arrays=False)] == [
        "cnflow-run-htex-4",
        "cnflow-run-htex-5",
    ]
    assert len(jobs_of([request(str(n)) for n in range(5)], has_arrays=True, longest=2)) == 3


def test_blocks_that_differ_are_no_array():
    assert len(jobs_of([request("4"), replace(request("5"), nodes=2)], has_arrays=True)) == 2


def test_blocks_are_found_by_name_and_element():
    assert block_in("cnflow-run-htex-4.6", 1, RUN, "htex") == "5"
    assert block_in("cnflow-run-htex-9", 0, RUN, "htex") == "9"
    assert block_in("cnflow-run-htex-2-9", 0, RUN, "htex") is None
    assert block_in("cnflow-run-htex-2-9", 0, RUN, "htex-2") == "9"
    assert block_in("cnflow-other-htex-9", 0, RUN, "htex") is None
    assert element_name("cnflow-run-htex-4.6", 2) == "cnflow-run-htex-6"
    assert element_name("cnflow-run-htex-9", 0) == "cnflow-run-htex-9"
    assert element_name("my-job", 0) == ""


RUNNING = BlockStatus(BlockState.RUNNING)
FAILED = BlockStatus(BlockState.FAILED, "Slurm: FAILED.", EndCause.OTHER)
WITH_CODE = BlockStatus(BlockState.FAILED, "It exited with code 3.", EndCause.OTHER, 3)
LAGS = BlockStatus(BlockState.UNKNOWN, "RUNNING")
ONE = NativeId("1")


def test_an_end_in_the_queue_is_completed_by_the_accounting_once():
    ended = EndedJobs("Slurm")
    assert ended.to_ask([ONE], {ONE: RUNNING}) == []
    assert ended.to_ask([ONE], {ONE: FAILED}) == [ONE]
    assert ended.statuses([ONE], {ONE: FAILED}, {ONE: WITH_CODE}, 0.0) == {ONE: WITH_CODE}
    assert ended.to_ask([ONE], {}) == []
    assert ended.statuses([ONE], {}, None, 1.0) == {ONE: WITH_CODE}


def test_a_job_that_the_accounting_shows_as_running_is_left_out_for_some_time():
    ended = EndedJobs("Slurm")
    assert ended.statuses([ONE], {}, {ONE: LAGS}, 0.0) == {}
    assert ended.statuses([ONE], {}, {ONE: LAGS}, 100.0) == {}
    assert ended.statuses([ONE], {}, {ONE: LAGS}, 130.0)[ONE].state is BlockState.GONE


def test_a_job_that_nobody_knows_is_gone():
    assert EndedJobs("Slurm").statuses([ONE], {}, None, 0.0)[ONE].state is BlockState.GONE


def test_a_job_that_is_back_in_the_queue_lives_again():
    ended = EndedJobs("Slurm")
    ended.statuses([ONE], {ONE: FAILED}, None, 0.0)
    assert ended.statuses([ONE], {ONE: RUNNING}, None, 1.0) == {ONE: RUNNING}
    assert ended.to_ask([ONE], {ONE: FAILED}) == [ONE]


@pytest.fixture
def run_body(tmp_path):
    """Runs a body by sh: its exit code and output."""

    def run(body, **variables):
        script = tmp_path / "body.sh"
        script.write_text(render(body))
        environment = {"PATH": "/usr/bin:/bin", **variables}
        done = subprocess.run(
            ["sh", script], capture_output=True, text=True, env=environment, cwd=tmp_path, check=False, timeout=60
        )
        return done.returncode, done.stdout + done.stderr

    return run


needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="No bash. Run: apt-get install bash")


def test_element_of_an_array_is_put_into_arguments_with_odd_names(run_body):
    body = Body(("echo", f"a 'b' \"c\" $HOME/{ELEMENT}.x"), index_variable="SGE_TASK_ID", first_index=1)
    assert run_body(body, SGE_TASK_ID="3") == (0, "a 'b' \"c\" $HOME/2.x\n")
    assert run_body(Body(("echo", ELEMENT))) == (0, "0\n")


def test_variables_and_the_end_of_the_block_reach_the_command(run_body):
    show = ("sh", "-c", 'echo "$A $CNFLOW_BLOCK_ENDS_AT"')
    odd = "two words\nand 'quotes'"
    assert run_body(Body(show, environment={"A": odd}), SLURM_JOB_END_TIME="77") == (0, f"{odd} 77\n")
    code, output = run_body(Body(show, walltime=600.0), CNFLOW_BLOCK_ENDS_AT="5")  # of the job that submits
    assert code == 0
    assert float(output) > 10**9


@needs_bash
def test_worker_init_prepares_the_command(run_body):
    assert run_body(Body(("sh", "-c", "echo $B"), worker_init="export B='x y'\nfalse")) == (0, "x y\n")


@needs_bash
def test_a_command_that_is_not_found_in_worker_init_ends_the_block(run_body):
    code, output = run_body(Body(("echo", "begun"), worker_init="no-such-command a\necho on"))
    assert code == 127
    assert "no-such-command: command not found" in output
    assert "Correct worker_init" in output
    assert "begun" not in output


@needs_bash
def test_worker_init_may_handle_a_command_that_is_not_found(run_body):
    code, output = run_body(Body(("echo", "begun"), worker_init="no-such-command a || true"))
    assert code == 0
    assert "begun" in output


def test_files_are_copied_for_a_command_that_wants_them_elsewhere(run_body, tmp_path):
    (tmp_path / "keys.0").write_text("secret")
    body = Body(("stat", "-c", "%a", f"{tmp_path}/copy"), copies={f"{tmp_path}/keys.{ELEMENT}": f"{tmp_path}/copy"})
    assert run_body(body) == (0, "600\n")
