"""The dialects of PBS Professional and of Torque."""

import pytest
from inline_snapshot import snapshot

from cnflow.config.pbs import PBSProProvider, TorqueProvider
from cnflow.interfaces.channel import Completed
from cnflow.model.block import BlockState, EndCause, Refusal
from cnflow.providers.batch import qstat
from cnflow.providers.batch.dialect import JobRequest
from cnflow.providers.batch.pbspro import PBS_PRO
from cnflow.providers.batch.torque import TORQUE


def job(**given):
    return JobRequest(
        **{"name": "cnflow-r-htex-0", "nodes": 1, "walltime": None, "body": "exec manager\n", "output": "/s/o", **given}
    )


def printed(text, code=0, stderr=""):
    return Completed(code, text, stderr)


def test_script_for_pbs_professional():
    settings = PBSProProvider(
        queue="prod",
        account="physics",
        project="climate",
        cpus_per_node=32,
        gpus_per_node=4,
        select_options="mem=64gb:system=polaris",
        exclusive=True,
        scheduler_options="#PBS -l filesystems=home",
    )
    script = PBS_PRO.submit_script(settings, job(size=3, nodes=2, walltime=5400.5, output="/my site/o"))
    assert script == snapshot("""\
#!/bin/sh
#PBS -S /bin/sh
#PBS -N cnflow-r-htex-0
#PBS -m n
#PBS -r n
#PBS -l select=2:ncpus=32:ngpus=4:mem=64gb:system=polaris
#PBS -l place=scatter:excl
#PBS -l walltime=01:30:01
#PBS -q prod
#PBS -A physics
#PBS -P climate
#PBS -J 0-2
#PBS -l filesystems=home
exec >>'/my site/o'."$PBS_ARRAY_INDEX" 2>&1
(
exec manager
) &
cnflow_body=$!
trap 'kill -TERM $cnflow_body 2>/dev/null' TERM
wait $cnflow_body; cnflow_code=$?
while kill -0 $cnflow_body 2>/dev/null; do wait $cnflow_body; cnflow_code=$?; done
wait $cnflow_body 2>/dev/null; cnflow_last=$?
[ $cnflow_last = 127 ] || cnflow_code=$cnflow_last
echo "$cnflow_code" >'/my site/o'."$PBS_ARRAY_INDEX".code
exit $cnflow_code
""")


def test_script_for_torque():
    settings = TorqueProvider(cpus_per_node=8, gpus_per_node=1, node_properties="bigmem", qos="high", exclusive=True)
    assert TORQUE.submit_script(settings, job(nodes=2, walltime=60.0)) == snapshot("""\
#!/bin/sh
#PBS -S /bin/sh
#PBS -N cnflow-r-htex-0
#PBS -m n
#PBS -r n
#PBS -l nodes=2:ppn=8:gpus=1:bigmem
#PBS -l walltime=00:01:00
#PBS -l qos=high
#PBS -n
exec >>/s/o 2>&1
(
exec manager
) &
cnflow_body=$!
trap 'kill -TERM $cnflow_body 2>/dev/null' TERM
wait $cnflow_body; cnflow_code=$?
while kill -0 $cnflow_body 2>/dev/null; do wait $cnflow_body; cnflow_code=$?; done
wait $cnflow_body 2>/dev/null; cnflow_last=$?
[ $cnflow_last = 127 ] || cnflow_code=$cnflow_last
echo "$cnflow_code" >/s/o.code
exit $cnflow_code
""")


def test_ids_of_jobs_and_elements():
    assert PBS_PRO.job_ids_of(printed("12.pbs01.site.org\n"), 1) == ["12.pbs01.site.org"]
    assert PBS_PRO.job_ids_of(printed("12[].pbs01\n"), 2) == ["12[0].pbs01", "12[1].pbs01"]
    assert TORQUE.job_ids_of(printed("30\n"), 1) == ["30"]
    assert [PBS_PRO.element_of(native) for native in ("12.s", "12[3].s")] == [0, 3]
    with pytest.raises(ValueError, match="no id of a job"):
        PBS_PRO.job_ids_of(printed("queued\n"), 1)


LISTING = """\
Job Id: 11.pbs01
    Job_Name = cnflow-r-htex-0
    Job_Owner = ann@login1
    job_state = R
    exec_host = n1/0*4+n2/0*4
    comment = Job run at Thu Nov 26 at 04:20 on (n1:ncpus=4+n2:ncpus=4)

Job Id: 12.pbs01
    Job_Name = cnflow-r-htex-1
    Job_Owner = ann@login1
    job_state = Q
    comment = Not Running: Insufficient amount of resource: ncpus (R: 4 A: 0 T:\
 8
\t)
    estimated.start_time = 05:00

Job Id: 13.pbs01
    Job_Name = cnflow-r-htex-2
    Job_Owner = bob@login1
    job_state = H
    comment = job held, too many failed attempts to run

Job Id: 14[0].pbs01
    Job_Name = cnflow-r-htex-3.4
    Job_Owner = ann@login1
    job_state = X
    Exit_status = 3

Job Id: 14[1].pbs01
    Job_Name = cnflow-r-htex-3.4
    Job_Owner = ann@login1
    job_state = S
"""


def test_states_have_the_reasons_of_the_scheduler():
    gone = "qstat: Unknown Job Id 99.pbs01\nqstat: 9.pbs01 Job has finished, use -x or -H to obtain ...\n"
    states = PBS_PRO.states_of(printed(LISTING, 153, gone))
    assert {native: (status.state, status.message) for native, status in states.items()} == snapshot(
        {
            "11.pbs01": (BlockState.RUNNING, ""),
            "12.pbs01": (
                BlockState.PENDING,
                "Not Running: Insufficient amount of resource: ncpus (R: 4 A: 0 T: 8); expected to start at 05:00",
            ),
            "13.pbs01": (
                BlockState.FAILED,
                "PBS could not start the job: job held, too many failed attempts to run",
            ),
            "14[0].pbs01": (BlockState.FAILED, "It exited with code 3."),
            "14[1].pbs01": (BlockState.RUNNING, "suspended."),
        }
    )
    assert states["11.pbs01"].hosts == ("n1", "n2")
    assert PBS_PRO.expected_starts_of(printed(LISTING)) == {"12.pbs01": "05:00"}


def test_a_job_that_can_never_run_has_failed():
    comment = "Can Never Run: Insufficient amount of resource: ncpus (R: 400 A: 256 T: 256)"
    listed = printed(f"Job Id: 12.pbs01\n    job_state = Q\n    comment = {comment}\n")
    status = PBS_PRO.states_of(listed)["12.pbs01"]
    assert (status.state, comment in status.message) == (BlockState.FAILED, True)


def test_found_jobs_are_those_of_the_user_that_can_run():
    found = PBS_PRO.found_in(printed(f"cnflow-user: ann\n{LISTING}"))
    assert found == {
        "11.pbs01": "cnflow-r-htex-0",
        "12.pbs01": "cnflow-r-htex-1",
        "14[1].pbs01": "cnflow-r-htex-3.4",
    }
    assert PBS_PRO.found_in(printed("cnflow-user: ann\n")) == {}


def test_a_server_that_does_not_answer_says_nothing_about_jobs():
    silent = printed("", 255, "Connection refused\nqstat: cannot connect to server pbs01 (errno=15010)\n")
    assert PBS_PRO.states_of(silent) is None
    assert PBS_PRO.found_in(silent._replace(stdout="cnflow-user: ann\n")) is None
    assert list(PBS_PRO.not_cancelled(silent, ["1.s", "2.s"])) == ["1.s", "2.s"]


def test_torque_commands_for_slurm_list_jobs_with_tabs():
    listed = (
        "Job Id:\t30\n\tJob_Name = cnflow-t\n\tJob_Owner = root@localhost\n\tjob_state = R\n\texec_host = n1/1+n2/1\n"
    )
    assert TORQUE.states_of(printed(listed))["30"].hosts == ("n1", "n2")
    ended = TORQUE.states_of(printed(listed.replace("= R", "= C")))["30"]
    assert (ended.state, ended.message) == (BlockState.GONE, "PBS keeps no exit status of it")
    assert TORQUE.states_of(printed("", 153)) == {}
    assert TORQUE.states_of(printed("Problem loading jobs.\n", 2)) is None


@pytest.mark.parametrize(
    ("dialect", "attributes", "end"),
    [
        (PBS_PRO, {"job_state": "F", "Exit_status": "0"}, (BlockState.ENDED, None, 0)),
        (PBS_PRO, {"job_state": "F", "Exit_status": "7"}, (BlockState.FAILED, EndCause.OTHER, 7)),
        (PBS_PRO, {"job_state": "F", "Exit_status": "-29"}, (BlockState.FAILED, EndCause.WALLTIME, None)),
        (PBS_PRO, {"job_state": "F", "Exit_status": "-27"}, (BlockState.FAILED, EndCause.OOM, None)),
        (PBS_PRO, {"job_state": "F", "Exit_status": "-1"}, (BlockState.FAILED, EndCause.OTHER, None)),
        (
            PBS_PRO,
            {"job_state": "F", "Exit_status": "271", "comment": "Job run at ... and terminated"},
            (BlockState.FAILED, EndCause.USER, 143),
        ),
        (
            PBS_PRO,
            {"job_state": "F", "comment": "Not Running: ... and terminated"},
            (BlockState.FAILED, EndCause.USER, None),
        ),
        (TORQUE, {"job_state": "C", "exit_status": "-11"}, (BlockState.FAILED, EndCause.WALLTIME, None)),
        (
            TORQUE,
            {
                "job_state": "C",
                "exit_status": "271",
                "resources_used.walltime": "00:10:05",
                "Resource_List.walltime": "00:10:00",
            },
            (BlockState.FAILED, EndCause.WALLTIME, 143),
        ),
        (TORQUE, {"job_state": "C", "exit_status": "265"}, (BlockState.FAILED, EndCause.OTHER, 137)),
    ],
)
def test_ends_have_cause_and_exit_code(dialect, attributes, end):
    text = "Job Id: 12.s\n" + "".join(f"    {name} = {value}\n" for name, value in attributes.items())
    status = dialect.ends_of(printed(text))["12.s"]
    assert (status.state, status.cause, status.exit_code) == end


@pytest.mark.parametrize(
    ("words", "kind", "advice"),
    [
        ("qsub: Unknown queue", Refusal.FOR_GOOD, "qstat -Q"),
        ("qsub: Job violates queue and/or server resource limits", Refusal.FOR_GOOD, "qstat -Q -f"),
        ("qsub: Job exceeds queue resource limits MSG=cannot satisfy queue max walltime", Refusal.FOR_GOOD, "-Q -f"),
        ("qsub: would exceed complex's per-user limit of jobs in 'Q' state", Refusal.BUSY, "per-user limit"),
        ("qsub: Maximum number of jobs already in queue", Refusal.BUSY, "already in queue"),
        ("qsub: job rejected by hook 'accounts': account 'nope' is not valid", Refusal.FOR_GOOD, "Set account"),
        ("qsub: cannot connect to server pbs01 (errno=15010)", Refusal.FAILED, "Another attempt"),
        ("sbatch: error: invalid partition specified: nope", Refusal.FOR_GOOD, "Set queue"),
        ("who knows", Refusal.FAILED, "who knows"),
    ],
)
def test_refusal_names_the_next_step(words, kind, advice):
    refused = PBS_PRO.refusal_of(printed("", 1, words + "\n"))
    assert (refused.kind, words in refused.words, advice in refused.words) == (kind, True, True)


def test_cancelling_a_job_that_is_gone_is_no_error():
    gone = printed("", 35, "qdel: Unknown Job Id 1.s\nqdel: Job has finished 2.s\n")
    assert PBS_PRO.not_cancelled(gone, ["1.s", "2.s"]) == {}
    refused = printed("", 1, "qdel: Unauthorized Request 2.s\nqdel: Unknown Job Id 1.s\n")
    assert PBS_PRO.not_cancelled(refused, ["1.s", "2.s"]) == {"2.s": "qdel: Unauthorized Request 2.s"}


def test_times():
    assert [qstat.clock_text(seconds) for seconds in (0.2, 59.5, 90000)] == ["00:00:01", "00:01:00", "25:00:00"]
    assert [qstat.seconds_in(text) for text in ("00:01:30", "90", "", "x")] == [90.0, 90.0, None, None]
