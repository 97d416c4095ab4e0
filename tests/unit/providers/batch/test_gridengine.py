"""The dialect of Grid Engine; what its commands print is from a Son of Grid Engine 8.1.9."""

import pytest
from inline_snapshot import snapshot

from cnflow.config.gridengine import GridEngineProvider
from cnflow.errors import ConfigurationError
from cnflow.interfaces.channel import Completed
from cnflow.model.block import BlockState, EndCause, Refusal
from cnflow.providers.batch.dialect import JobRequest
from cnflow.providers.batch.gridengine import GRID_ENGINE

SETTINGS = GridEngineProvider()


def job(**given):
    return JobRequest(
        **{"name": "cnflow-r-htex-0", "nodes": 1, "walltime": None, "body": "exec manager\n", "output": "/s/o", **given}
    )


def printed(text, code=0, stderr=""):
    return Completed(code, text, stderr)


def test_script_of_an_array_on_several_slots():
    settings = GridEngineProvider(
        queue="all.q",
        project="physics",
        parallel_environment="mpi",
        slots_per_node=4,
        resources={"gpu": 1},
        scheduler_options="#$ -p -10",
        notice=0,
    )
    script = GRID_ENGINE.submit_script(settings, job(size=3, nodes=2, walltime=90.0, output="/my site/o"))
    assert script == snapshot("""\
#!/bin/sh
#$ -S /bin/sh
#$ -N cnflow-r-htex-0
#$ -j y
#$ -o "/my site/o.$TASK_ID"
#$ -r n
#$ -t 1-3
#$ -q all.q
#$ -P physics
#$ -pe mpi 8
#$ -l h_rt=90,gpu=1
#$ -p -10
exec manager
""")


def test_notice_becomes_sigterm():
    assert GRID_ENGINE.submit_script(SETTINGS, job()) == snapshot("""\
#!/bin/sh
#$ -S /bin/sh
#$ -N cnflow-r-htex-0
#$ -j y
#$ -o /s/o
#$ -r n
#$ -notify
(
trap '' USR1 USR2
exec manager
) &
cnflow_body=$!
trap 'kill -TERM $cnflow_body 2>/dev/null' USR1 USR2 TERM
wait $cnflow_body; cnflow_code=$?
while kill -0 $cnflow_body 2>/dev/null; do wait $cnflow_body; cnflow_code=$?; done
wait $cnflow_body 2>/dev/null; cnflow_last=$?
[ $cnflow_last = 127 ] || cnflow_code=$cnflow_last
exit $cnflow_code
""")


def test_several_slots_need_a_parallel_environment():
    GRID_ENGINE.refuse(SETTINGS)
    with pytest.raises(ConfigurationError, match=r"4 slots through a parallel environment.*qconf -spl"):
        GRID_ENGINE.refuse(GridEngineProvider(nodes_per_block=2, slots_per_node=2))


def test_job_that_no_queue_can_run_is_refused_by_default():
    assert GRID_ENGINE.submit_command(SETTINGS, "/s/j.sh") == ["qsub", "-terse", "-w", "e", "/s/j.sh"]
    assert GRID_ENGINE.submit_command(GridEngineProvider(verify=False), "j") == ["qsub", "-terse", "j"]


def test_ids_of_jobs_and_elements():
    assert GRID_ENGINE.job_ids_of(printed("a site's own check prints this\n12\n"), 1) == ["12"]
    assert GRID_ENGINE.job_ids_of(printed("12.1-2:1\n"), 2) == ["12.1", "12.2"]
    assert [GRID_ENGINE.element_of(native) for native in ("12", "12.1", "12.3")] == [0, 0, 2]
    with pytest.raises(ValueError, match="no number of a job"):
        GRID_ENGINE.job_ids_of(printed("JSV says no\n"), 1)


LISTING = """\
<?xml version='1.0'?>
<job_info  xmlns:xsd="http://arc.liv.ac.uk/repos/darcs/sge/source/dist/util/resources/schemas/qstat/qstat.xsd">
  <queue_info>
    <job_list state="running">
      <JB_job_number>1</JB_job_number>
      <JAT_prio>0.50000</JAT_prio>
      <JB_name>cnflow-r-htex-0.1</JB_name>
      <JB_owner>root</JB_owner>
      <state>r</state>
      <JAT_start_time>2026-11-26T04:19:36</JAT_start_time>
      <queue_name>all.q@vm</queue_name>
      <slots>1</slots>
      <tasks>2</tasks>
    </job_list>
  </queue_info>
  <job_info>
    <job_list state="pending">
      <JB_job_number>5</JB_job_number>
      <JB_name>cnflow-r-htex-3</JB_name>
      <state>Eqw</state>
      <queue_name></queue_name>
    </job_list>
    <job_list state="pending">
      <JB_job_number>14</JB_job_number>
      <JB_name>ok.sh</JB_name>
      <state>hqw</state>
    </job_list>
    <job_list state="pending">
      <JB_job_number>18</JB_job_number>
      <JB_name>s.sh</JB_name>
      <state>qw</state>
      <queue_name></queue_name>
    </job_list>
  </job_info>
</job_info>
"""
REASONS = """\
<!-- cnflow: reasons -->
==============================================================
job_number:                 5
error reason          1:      11/26/2026 04:19:56 [0:10857]: error: can't open output file "/no/x": No such file
scheduling info:            Job is in error state
==============================================================
job_number:                 18
hard resource_list:         h_rt=3600
scheduling info:            cannot run in queue "all.q"
                            (-l h_rt=3600) cannot run in queue "short.q" because of cluster queue
"""


def test_states_have_the_reasons_of_the_scheduler():
    states = GRID_ENGINE.states_of(printed(LISTING + REASONS))
    assert {native: (status.state, status.message) for native, status in states.items()} == snapshot(
        {
            "1.2": (BlockState.RUNNING, ""),
            "5": (
                BlockState.FAILED,
                'Grid Engine could not start the job: error: can\'t open output file "/no/x": No such file',
            ),
            "14": (BlockState.PENDING, "held; `qrls` releases it"),
            "18": (
                BlockState.PENDING,
                'cannot run in queue "all.q"; (-l h_rt=3600) cannot run in queue "short.q" because of cluster queue',
            ),
        }
    )
    assert states["1.2"].hosts == ("vm",)


def test_found_jobs_are_those_that_can_run():
    assert GRID_ENGINE.found_in(printed(LISTING)) == {"1.2": "cnflow-r-htex-0.1", "14": "ok.sh", "18": "s.sh"}


@pytest.mark.parametrize(
    "silent",
    [
        printed("", 1, "error: commlib error: got select error (Connection refused)\n"),
        printed("Terminated by the site's wrapper", 0),
    ],
)
def test_a_scheduler_that_does_not_answer_says_nothing_about_jobs(silent):
    assert GRID_ENGINE.states_of(silent) is None
    assert GRID_ENGINE.found_in(silent) is None


def account(number, failed, status, more="", task="undefined"):
    line = "=" * 62
    return (
        f"{line}\nqname        all.q               \nhostname     vm                  \njobnumber    {number}\n"
        f"taskid       {task}\nfailed       {failed}\nexit_status  {status}\nru_wallclock 4s\n{more}"
    )


def test_ends_have_cause_and_exit_code():
    text = (
        "asked 2\nasked 9.1\nasked 99\nlisted 9\nreason 17 11/26/2026 04:19:56 [0:10857]: error: can't chdir to /no\n"
        + "".join(
            [
                account(2, "0    ", "0                   "),
                account(3, "0    ", "7                   "),
                account(15, "37  : qmaster enforced h_rt, h_cpu, or h_vmem limit", "137                  (Killed)")
                + "category     -l h_rt=3\n",
                account(
                    19, "37  : qmaster enforced h_rt, h_cpu, or h_vmem limit", "137", "category     -l h_rt=3600\n"
                ),
                account(16, "100 : assumedly after job", "137                  (Killed)", task="2"),
                account(17, "26  : opening input/output file", "0"),
                account(20, "25  : rescheduling", "0"),
                account(21, "100 : assumedly after job", "137", "deleted_by   ann\n"),
            ]
        )
    )
    ends = GRID_ENGINE.ends_of(printed(text))
    assert {native: (end.state, end.cause, end.exit_code) for native, end in ends.items()} == snapshot(
        {
            "2": (BlockState.ENDED, None, 0),
            "9.1": (BlockState.UNKNOWN, None, None),
            "3": (BlockState.FAILED, EndCause.OTHER, 7),
            "15": (BlockState.FAILED, EndCause.WALLTIME, 137),
            "19": (BlockState.FAILED, EndCause.OOM, 137),
            "16.2": (BlockState.FAILED, EndCause.OTHER, 137),
            "17": (BlockState.FAILED, EndCause.OTHER, 0),
            "20": (BlockState.FAILED, EndCause.PREEMPTED, 0),
            "21": (BlockState.FAILED, EndCause.USER, 137),
        }
    )
    assert "assumedly after job" in ends["16.2"].message
    assert ends["17"].message == "Grid Engine could not start the job on vm: error: can't chdir to /no"


@pytest.mark.parametrize(
    ("words", "kind", "advice"),
    [
        ('Job was rejected because job requests unknown queue "nope.q"', Refusal.FOR_GOOD, "qconf -sql"),
        ('job rejected: the requested project "nope" does not exist', Refusal.FOR_GOOD, "qconf -sprjl"),
        ("error: no suitable queues", Refusal.FOR_GOOD, "qconf -sq"),
        ('job rejected: the requested parallel environment "nope" does not exist', Refusal.FOR_GOOD, "qconf -spl"),
        ('unknown resource "foo"', Refusal.FOR_GOOD, "qconf -sc"),
        ("job rejected: Only 10 jobs are allowed per user (current job count: 10)", Refusal.BUSY, "Only 10"),
        (
            "unable to send message to qmaster using port 1 on host vm: got send error",
            Refusal.FAILED,
            "does not answer",
        ),
        ("SGE_ROOT directory /nowhere doesn't exist", Refusal.FOR_GOOD, "settings.sh"),
        ("who knows", Refusal.FAILED, "who knows"),
    ],
)
def test_refusal_names_the_next_step(words, kind, advice):
    refused = GRID_ENGINE.refusal_of(printed("", 1, f"Unable to run job: {words}\nExiting.\n"))
    assert refused.kind is kind
    assert words in refused.words
    assert advice in refused.words


def test_cancelling_a_job_that_is_gone_is_no_error():
    assert GRID_ENGINE.cancel_command(SETTINGS, ["12.1", "13"]) == ["qdel", "12.1", "13"]
    gone = printed('root has deleted job 5\ndenied: job "7" does not exist\njob 16 is already in deletion\n', 1)
    assert GRID_ENGINE.not_cancelled(gone, ["5", "7", "16"]) == {}
    other = printed("ann - you do not have the necessary privileges to delete the job: denied 5\n", 1)
    assert list(GRID_ENGINE.not_cancelled(other, ["5", "7"])) == ["5"]
    silent = printed("", 1, "error: commlib error: got select error (Connection refused)\n")
    assert list(GRID_ENGINE.not_cancelled(silent, ["5", "7"])) == ["5", "7"]
