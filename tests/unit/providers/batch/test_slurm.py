"""The dialect of Slurm: its script, its commands, and what Slurm prints."""

import pytest
from inline_snapshot import snapshot

from cnflow.config import SlurmProvider
from cnflow.errors import ConfigurationError
from cnflow.ids import NativeId
from cnflow.interfaces.channel import Completed
from cnflow.model.block import BlockState, EndCause, Refusal
from cnflow.providers.batch.dialect import JobRequest
from cnflow.providers.batch.slurm import SLURM

SETTINGS = SlurmProvider(
    partition="gpu",
    account="lab",
    qos="high",
    constraint="a100",
    reservation="course",
    exclusive=False,
    cores_per_node=16,
    mem_per_node="64GiB",
    gpus_per_node="a100:2",
    gres="nvme:1",
    scheduler_options="#SBATCH --mail-type=END",
)


def done(stdout="", stderr="", code=0):
    return Completed(code, stdout, stderr)


def test_script_of_a_job_has_all_options():
    request = JobRequest("cnflow-run-htex-0", 1, 5400.0, "exec true\n", "/site/out")
    head = SLURM.submit_script(SETTINGS, request).partition("\nif [ -z")[0]
    assert head == snapshot("""\
#!/bin/sh
#SBATCH --job-name=cnflow-run-htex-0
#SBATCH --output=/site/out
#SBATCH --open-mode=append
#SBATCH --comment=cnflow
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --time=01:30:00
#SBATCH --signal=B:USR1@30
#SBATCH --partition=gpu
#SBATCH --account=lab
#SBATCH --qos=high
#SBATCH --constraint=a100
#SBATCH --reservation=course
#SBATCH --cpus-per-task=16
#SBATCH --mem=65536M
#SBATCH --gpus-per-node=a100:2
#SBATCH --gres=nvme:1
#SBATCH --no-requeue
#SBATCH --mail-type=END\
""")


def test_script_of_an_array_of_whole_nodes():
    request = JobRequest("cnflow-run-htex-0.9", 2, 100.0, "exec true\n", "/site/out", size=10)
    script = SLURM.submit_script(SlurmProvider(), request)
    assert "#SBATCH --array=0-9\n" in script
    assert "#SBATCH --output=/site/out.%a\n" in script
    assert "#SBATCH --time=00:02:00\n" in script  # Slurm counts minutes, and shortens none
    assert "#SBATCH --exclusive\n" in script
    assert "--signal" not in script
    assert script.endswith("exec true\n")


def test_several_nodes_are_started_by_srun_unless_the_user_says_otherwise():
    assert SlurmProvider(nodes_per_block=2).launcher.kind == "srun"
    assert SlurmProvider().launcher.kind == "simple"
    assert SlurmProvider(nodes_per_block=2, launcher={"kind": "simple"}).launcher.kind == "simple"


def test_ids_of_jobs_and_arrays():
    assert SLURM.job_ids_of(done("123\n"), 1) == ["123"]
    assert SLURM.job_ids_of(done("welcome to the cluster\n123;away\n"), 2) == ["123_0", "123_1"]
    assert [SLURM.element_of(NativeId(native)) for native in ("123", "123_7")] == [0, 7]
    with pytest.raises(ValueError, match="no number of a job"):
        SLURM.job_ids_of(done("what?"), 1)


def test_commands_go_to_the_cluster_of_the_settings():
    away = SlurmProvider(clusters="away")
    assert SLURM.submit_command(away, "/site/job.sh") == ["sbatch", "--clusters=away", "--parsable", "/site/job.sh"]
    assert "--clusters=away" in SLURM.status_command(away, [NativeId("1")])
    assert SLURM.cancel_command(away, [NativeId("1_2")]) == ["scancel", "--clusters=away", "1_2"]
    with pytest.raises(ConfigurationError, match="one cluster"):
        SLURM.refuse(SlurmProvider(clusters="here,away"))


def test_elements_of_an_array_are_asked_for_by_its_number():
    asked = SLURM.status_command(SlurmProvider(), [NativeId("7_0"), NativeId("7_1"), NativeId("9")])
    assert asked[-1] == "--jobs=7,9"


QUEUE = """\
CLUSTER: away
7_0|RUNNING|None|2026-11-26T04:18:47|n[1-2]|cnflow-run-htex-0.2
7_1|PENDING|Priority|2026-11-26T05:18:47||cnflow-run-htex-0.2
7_2|PENDING|PartitionTimeLimit|N/A||cnflow-run-htex-0.2
8|TIMEOUT|TimeLimit|2026-11-26T04:18:47|n1|cnflow-run-htex-3
9|NEW_STATE|None|N/A||cnflow-run-htex-4
"""


def test_states_in_the_queue():
    states = SLURM.states_of(done(QUEUE))
    assert {native: status.state.value for native, status in states.items()} == snapshot(
        {"7_0": "running", "7_1": "pending", "7_2": "failed", "8": "failed", "9": "unknown"}
    )
    assert states["7_1"].message == snapshot(
        "waits in Slurm's queue: Priority (jobs of higher priority come first); "
        "expected to start at 2026-11-26T05:18:47"
    )
    assert "walltime" in states["7_2"].message
    assert states["8"].cause is EndCause.WALLTIME


def test_no_answer_is_not_an_empty_answer():
    assert SLURM.states_of(done("", "slurm_load_jobs error: Invalid job id specified", 1)) == {}
    assert SLURM.states_of(done("", "slurm_load_jobs error: Unable to contact slurm controller", 1)) is None
    assert SLURM.found_in(done("", "slurm_load_jobs error: Socket timed out", 1)) is None


ENDS = [
    ("1|COMPLETED|0:0|None", BlockState.ENDED, None, 0, ""),
    ("1|FAILED|3:0|None", BlockState.FAILED, EndCause.OTHER, 3, "exited with code 3 (Slurm: FAILED)"),
    ("1|CANCELLED by 1000|0:15|None", BlockState.FAILED, EndCause.USER, 143, "CANCELLED by user 1000"),
    ("1|TIMEOUT|0:0|None", BlockState.FAILED, EndCause.WALLTIME, 0, "ran out of its walltime"),
    ("1|OUT_OF_MEMORY|0:125|None", BlockState.FAILED, EndCause.OOM, 253, "more memory than it asked for"),
    ("1|NODE_FAIL|1:0|None", BlockState.FAILED, EndCause.NODE, 1, "a node of it failed"),
    ("1|PREEMPTED|0:0|None", BlockState.FAILED, EndCause.PREEMPTED, 0, "taken for another job"),
    ("JobId=1 JobState=FAILED Reason=NonZeroExitCode ExitCode=3:0", BlockState.FAILED, EndCause.OTHER, 3, "code 3"),
]


@pytest.mark.parametrize(("line", "state", "cause", "code", "words"), ENDS)
def test_ends_in_the_accounting(line, state, cause, code, words):
    status = SLURM.ends_of(done(line))["1"]
    assert (status.state, status.cause, status.exit_code) == (state, cause, code)
    assert words in status.message


def test_the_accounting_goes_before_the_controller_and_a_job_that_it_shows_as_running_has_not_ended():
    controller = "JobId=5 ArrayJobId=2 ArrayTaskId=1 JobState=CANCELLED ExitCode=0:0"
    ends = SLURM.ends_of(done(f"2_1|CANCELLED by 7|0:0|None\n{controller}\n3|RUNNING|0:0|\n"))
    assert "user 7" in ends["2_1"].message
    assert ends["3"].state is BlockState.UNKNOWN


REFUSALS = [
    ("Batch job submission failed: Invalid partition name specified", Refusal.FOR_GOOD, "partition="),
    (
        "Batch job submission failed: Invalid account or account/partition combination specified",
        Refusal.FOR_GOOD,
        "account=",
    ),
    ("Batch job submission failed: Invalid qos specification", Refusal.FOR_GOOD, "qos="),
    (
        "Batch job submission failed: Requested time limit is invalid (missing or exceeds some limit)",
        Refusal.FOR_GOOD,
        "walltime",
    ),
    ("Batch job submission failed: Requested node configuration is not available", Refusal.FOR_GOOD, "nodes_per_block"),
    (
        "QOSMaxSubmitJobPerUserLimit\nBatch job submission failed: Job violates accounting/QOS policy",
        Refusal.BUSY,
        "max_blocks",
    ),
    (
        "AssocGrpSubmitJobsLimit\nBatch job submission failed: Job violates accounting/QOS policy (job submit limit)",
        Refusal.BUSY,
        "max_blocks",
    ),
    ("Batch job submission failed: Socket timed out on send/recv operation", Refusal.UNKNOWN, "in time"),
    ("Batch job submission failed: Unable to contact slurm controller (connect failure)", Refusal.FAILED, "again"),
    ("Name a project\nBatch job submission failed: Unspecified error", Refusal.FOR_GOOD, "A rule of the site"),
    ("something new", Refusal.FAILED, "something new"),
]


@pytest.mark.parametrize(("said", "kind", "words"), REFUSALS)
def test_refusals_have_a_next_step(said, kind, words):
    refused = SLURM.refusal_of(done("", f"sbatch: error: {said}", 1))
    assert refused.kind is kind
    assert words in refused.words


def test_jobs_that_cannot_be_cancelled_are_named():
    said = "scancel: error: Kill job error on job id 7_1: Access/permission denied"
    assert list(SLURM.not_cancelled(done("", said, 1), [NativeId("7_0"), NativeId("7_1")])) == ["7_1"]
    assert SLURM.not_cancelled(done("", "scancel: error: Invalid job id 9", 1), [NativeId("9")]) == {}
