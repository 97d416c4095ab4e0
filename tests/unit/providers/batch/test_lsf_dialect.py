"""Tests of the dialect of LSF: its script and the output of its commands, as the manual of LSF 10.1 shows it."""

import pytest

from cnflow.config.lsf import LSFProvider
from cnflow.errors import ConfigurationError
from cnflow.interfaces.channel import Completed
from cnflow.model.block import BlockState, EndCause, Refusal
from cnflow.providers.batch.dialect import JobRequest
from cnflow.providers.batch.lsf import DIALECT


def answered(text):
    return Completed(0, text, "")


def head(settings, request):
    script = DIALECT.submit_script(settings, request)
    return [line for line in script.splitlines() if line.startswith("#BSUB")]


def test_whole_nodes_are_asked_for():
    settings = LSFProvider(queue="batch", project="PRJ1", user_group="g", application="a", gpus_per_node=6)
    assert head(settings, JobRequest("cnflow-r-e-1", 2, 601.0, "true\n", "/o")) == [
        '#BSUB -J "cnflow-r-e-1"',
        '#BSUB -o "/o"',
        "#BSUB -rn",
        "#BSUB -nnodes 2",
        '#BSUB -gpu "num=6"',
        "#BSUB -W 11",
        "#BSUB -q batch",
        "#BSUB -P PRJ1",
        "#BSUB -G g",
        "#BSUB -app a",
    ]


def test_notice_is_asked_for_where_one_manager_gets_it():
    notice = ["#BSUB -wt 1", "#BSUB -wa USR2"]
    assert notice == head(LSFProvider(), JobRequest("n", 1, 600.0, "", "/o"))[-2:]
    for settings, request in (
        (LSFProvider(notice=0), JobRequest("n", 1, 600.0, "", "/o")),
        (LSFProvider(), JobRequest("n", 1, 599.0, "", "/o")),
        (LSFProvider(), JobRequest("n", 2, 600.0, "", "/o")),
        (LSFProvider(), JobRequest("n", 1, None, "", "/o")),
    ):
        assert "-wa" not in " ".join(head(settings, request))


def test_whole_nodes_start_by_jsrun():
    assert LSFProvider(nodes_per_block=2).launcher.kind == "jsrun"
    assert LSFProvider(nodes_per_block=2, launcher={"kind": "mpiexec"}).launcher.kind == "mpiexec"
    assert LSFProvider(nodes_per_block=2, request_by_nodes=False, cores_per_node=4).launcher.kind == "simple"
    assert LSFProvider().launcher.kind == "simple"


def test_cores_are_asked_for_where_there_is_no_nnodes():
    settings = LSFProvider(request_by_nodes=False, cores_per_node=8, scheduler_options="#BSUB -x\n")
    assert head(settings, JobRequest("n", 2, None, "true\n", "/o", size=3)) == [
        '#BSUB -J "n[1-3]"',
        '#BSUB -o "/o.%I"',
        "#BSUB -rn",
        "#BSUB -n 16",
        '#BSUB -R "span[ptile=8]"',
        "#BSUB -x",
    ]
    assert settings.traits().cores == 8.0


def test_cores_that_nobody_counts_are_refused():
    with pytest.raises(ConfigurationError, match="cores_per_node is missing"):
        DIALECT.refuse(LSFProvider(request_by_nodes=False))


def test_script_is_given_on_stdin():
    assert DIALECT.submit_command(LSFProvider(), "/a b") == ["sh", "-c", 'exec bsub <"$1"', "sh", "/a b"]


def test_ids_of_elements_count_from_one():
    words = "Job <7234> is submitted to default queue <normal>.\n"
    assert DIALECT.job_ids_of(answered(words), 1) == ["7234"]
    assert DIALECT.job_ids_of(answered(words), 2) == ["7234[1]", "7234[2]"]
    assert [DIALECT.element_of(each) for each in ("7234", "7234[1]", "7234[2]")] == [0, 0, 1]
    with pytest.raises(ValueError, match="no number of a job"):
        DIALECT.job_ids_of(answered("\n"), 1)


def test_states_come_with_reasons_hosts_and_expected_starts():
    states = DIALECT.states_of(
        Completed(
            255,
            "10^1^PEND^-^-^Nov 26 05:00 L^-^Job slot limit reached: 2 hosts;\n"
            "10^2^RUN^-^4*n1:4*n2^-^-^-\n"
            "11^0^PSUSP^-^-^-^-^Job was suspended by the user while pending;\n"
            "12^0^UNKWN^-^n1^-^-^-\n"
            "13^0^ZOMBI^-^n1^-^-^-\n",
            "Job <99> is not found\n",
        )
    )
    assert states["10[1]"].state is BlockState.PENDING
    assert states["10[1]"].message == (
        "waits in LSF's queue: Job slot limit reached: 2 hosts; expected to start at Nov 26 05:00"
    )
    assert (states["10[2]"].state, states["10[2]"].hosts) == (BlockState.RUNNING, ("n1", "n2"))
    assert "'bresume' lets it go" in states["11"].message
    assert states["12"].state is BlockState.UNKNOWN
    assert (states["13"].state, states["13"].cause) == (BlockState.FAILED, EndCause.NODE)
    assert "99" not in states


@pytest.mark.parametrize(
    ("code", "reason", "cause", "number"),
    [
        ("140", "TERM_RUNLIMIT: job killed after reaching LSF run time limit", EndCause.WALLTIME, 140),
        ("130", "TERM_OWNER: job killed by owner", EndCause.USER, 130),
        ("137", "TERM_MEMLIMIT: job killed after reaching LSF memory usage limit", EndCause.OOM, 137),
        ("137", "TERM_PREEMPT: job killed after preemption", EndCause.PREEMPTED, 137),
        ("3", "-", EndCause.OTHER, 3),
        ("-", "TERM_OWNER: job killed by owner", EndCause.USER, None),
    ],
)
def test_ended_job_has_its_cause(code, reason, cause, number):
    status = DIALECT.states_of(answered(f"10^0^EXIT^{code}^n1^-^{reason}^-\n"))["10"]
    assert (status.state, status.cause, status.exit_code) == (BlockState.FAILED, cause, number)
    assert reason == "-" or reason in status.message


def test_done_is_no_failure():
    status = DIALECT.states_of(answered("10^0^DONE^-^n1^-^-^-\n"))["10"]
    assert (status.state, status.exit_code) == (BlockState.ENDED, 0)


def test_scheduler_that_is_down_tells_nothing():
    down = Completed(255, "", "LSF is down. Please wait ...\n")
    assert DIALECT.states_of(down) is None
    assert DIALECT.ends_of(down) is None
    assert DIALECT.found_in(down) is None


def test_no_job_is_an_answer():
    assert DIALECT.found_in(Completed(255, "", "No unfinished job found\n")) == {}
    assert DIALECT.states_of(Completed(255, "", "Job <9> is not found\n")) == {}


def test_names_are_found_without_their_elements():
    text = "10^1^cnflow-r-e-1.2[1]\n10^2^cnflow-r-e-1.2[2]\n11^0^other\n"
    assert DIALECT.found_in(answered(text)) == {"10[1]": "cnflow-r-e-1.2", "10[2]": "cnflow-r-e-1.2", "11": "other"}


def test_history_tells_ends_after_bjobs_has_forgotten_them():
    ends = DIALECT.ends_of(
        answered(
            """
Job <20>, Job Name <cnflow-r-e-1>, User <u>, Project <default>, Command <#!/bin
                     /sh>
Thu Nov 26 04:18:47: Submitted from host <login>, to Queue <normal>;
Thu Nov 26 04:18:48: Dispatched 1 Task(s) on Host(s) <n1>;
Thu Nov 26 04:28:48: Exited with exit code 140. The CPU time used is 0.1 seconds;
Thu Nov 26 04:28:48: Completed <exit>; TERM_RUNLIMIT: job killed after reaching
                      LSF run time limit;

Summary of time in seconds spent in various states by Thu Nov 26 04:28:48

Job <21[2]>, Job Name <x>, User <u>, Project <default>, Command <true>
Thu Nov 26 04:18:48: Done successfully. The CPU time used is 0.1 seconds;

Job <22>, Job Name <x>, User <u>, Project <default>, Command <true>
Thu Nov 26 04:18:48: Starting (Pid 4242);

Job <23>, Job Name <x>, User <u>, Project <default>, Command <true>
Thu Nov 26 04:18:48: Exited by signal 9. The CPU time used is 0.1 seconds;
"""
        )
    )
    assert (ends["20"].cause, ends["20"].exit_code) == (EndCause.WALLTIME, 140)
    assert "job killed after reaching LSF run time limit" in ends["20"].message
    assert ends["21[2]"].state is BlockState.ENDED
    assert "22" not in ends
    assert ends["23"].exit_code == 137


def test_unconfirmed_kill_is_reported():
    output = Completed(
        255,
        "Job <1> is being terminated\nJob <2[1]> is being terminated\n",
        "Job <3>: Job has already finished\nJob <4>: No matching job found\nJob <5>: User permission denied\n",
    )
    assert list(DIALECT.not_cancelled(output, ["1", "2[1]", "3", "4", "5"])) == ["5"]


@pytest.mark.parametrize(
    ("words", "kind", "advice"),
    [
        ("qqq: No such queue. Job not submitted.", Refusal.FOR_GOOD, "LSFProvider(queue=...)"),
        ("RUNLIMIT: Cannot exceed queue's hard limit(s). Job not submitted.", Refusal.FOR_GOOD, "shorter walltime"),
        ("Pending job threshold reached. Retrying in 60 seconds...", Refusal.BUSY, "asked again later"),
        ("Failed in an LSF library call: LIM is down; try later", Refusal.FAILED, "does not answer"),
        ("Too many processors requested. Job not submitted.", Refusal.FOR_GOOD, "nodes_per_block"),
        ("Request aborted by esub. Job not submitted.", Refusal.FOR_GOOD, "A rule of the site"),
    ],
)
def test_refusal_comes_with_the_next_step(words, kind, advice):
    refused = DIALECT.refusal_of(Completed(255, "", words))
    assert refused.kind is kind
    assert words in refused.words
    assert advice in refused.words
