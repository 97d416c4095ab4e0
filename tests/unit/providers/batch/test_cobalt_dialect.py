"""Tests of the dialect of Cobalt: its script and the output of its commands, as the sources of Cobalt 1.0 print it."""

import pytest

from cnflow.config.cobalt import CobaltProvider
from cnflow.errors import ConfigurationError
from cnflow.interfaces.channel import Completed
from cnflow.model.block import BlockState, EndCause, Refusal
from cnflow.providers.batch.cobalt import DIALECT
from cnflow.providers.batch.dialect import JobRequest

TABLE = """\
JobID   State      Location     JobName
=============================================
400001  queued     None         cnflow-r-e-1
400002  running    nid[1-2]     cnflow-r-e-2
400003  user_hold  None         x
400004  dep_fail   None         x
400005  odd        None         x
400006  preempted  None         x
"""


def answered(text):
    return Completed(0, text, "")


def ended(*lines):
    log = "\n".join(f"Thu Nov 26 04:18:47 2026 +0000 (UTC) Info: {line}" for line in lines)
    return DIALECT.ends_of(answered(f"== 7\n{log}\n"))


def test_script_has_its_options_in_lines():
    settings = CobaltProvider(queue="debug", account="PRJ", attributes="mcdram=flat", scheduler_options="#COBALT -M me")
    script = DIALECT.submit_script(settings, JobRequest("cnflow-r-e-1", 2, 601.0, "echo body\n", "/s/runs/r/e/1.out"))
    assert script.startswith(
        "#!/bin/sh\n"
        "#COBALT -n 2\n"
        "#COBALT -t 11\n"
        "#COBALT --jobname cnflow-r-e-1\n"
        "#COBALT -o /s/runs/r/e/1.out\n"
        "#COBALT -e /s/runs/r/e/1.out\n"
        "#COBALT --debuglog /s/runs/r/e/$jobid.cobaltlog\n"
        "#COBALT -q debug\n"
        "#COBALT -A PRJ\n"
        "#COBALT --attrs mcdram=flat\n"
        "#COBALT -M me\n"
    )
    assert "\necho body\n" in script
    assert 'echo "$cnflow_code" >/s/runs/r/e/1.out.code\n' in script


def test_several_nodes_start_by_aprun():
    assert CobaltProvider(nodes_per_block=2).launcher.kind == "aprun"
    assert CobaltProvider(nodes_per_block=2, launcher={"kind": "simple"}).launcher.kind == "simple"


def test_job_without_an_end_is_refused():
    with pytest.raises(ConfigurationError, match="takes no job without one"):
        DIALECT.refuse(CobaltProvider(walltime=None))


def test_id_is_the_number_on_stdout():
    assert DIALECT.job_ids_of(Completed(0, "400001\n", 'Job routed to queue "debug".'), 1) == ["400001"]
    with pytest.raises(ValueError, match="no number of a job"):
        DIALECT.job_ids_of(answered(""), 1)


def test_states_come_with_reasons_and_locations():
    states = DIALECT.states_of(answered(TABLE))
    assert states["400001"].state is BlockState.PENDING
    assert "queued (nodes are not free yet" in states["400001"].message
    assert (states["400002"].state, states["400002"].hosts) == (BlockState.RUNNING, ("nid[1-2]",))
    assert "'qrls' lets it go" in states["400003"].message
    assert states["400004"].state is BlockState.FAILED
    assert states["400005"].state is BlockState.UNKNOWN
    assert states["400006"].cause is EndCause.PREEMPTED
    assert DIALECT.found_in(answered(TABLE))["400002"] == "cnflow-r-e-2"


def test_no_job_is_an_answer_and_no_connection_is_none():
    assert DIALECT.states_of(Completed(1, "", "")) == {}
    assert DIALECT.states_of(Completed(1, "", "Failed to connect to queue manager\n")) is None
    assert DIALECT.found_in(Completed(1, "", "Failed to connect to queue manager\n")) is None


def test_log_tells_the_end():
    assert (
        ended("task completed normally with an exit code of 0; initiating job cleanup")["7"].state is BlockState.ENDED
    )
    failed = ended("task completed normally with an exit code of 3; initiating job cleanup")["7"]
    assert (failed.state, failed.exit_code) == (BlockState.FAILED, 3)
    late = ended(
        "maximum execution time exceeded; initiating job termination",
        "task completed normally with an exit code of 143; initiating job cleanup",
    )["7"]
    assert (late.cause, late.exit_code) == (EndCause.WALLTIME, 143)
    deleted = ended("user delete with signal SIGTERM requested by user u; initiating job cleanup and removal")["7"]
    assert deleted.cause is EndCause.USER
    assert "requested by user u" in deleted.message
    assert ended("submitted with script") == {}


def test_logs_are_looked_for_in_the_sites_folder():
    command = DIALECT.ended_command(CobaltProvider(site_dir="~/flow"), ["7", "8"])
    assert '"$HOME/flow"' in command[2]
    assert command[-2:] == ["7", "8"]


def test_delete_that_was_not_confirmed_is_reported():
    assert DIALECT.not_cancelled(answered("      Deleted Jobs\nJobID  User\n"), ["7"]) == {}
    assert DIALECT.not_cancelled(Completed(1, "qdel: Job 7 not found\n", ""), ["7"]) == {}
    assert list(DIALECT.not_cancelled(Completed(1, "", "Failed to connect to queue manager"), ["7"])) == ["7"]


@pytest.mark.parametrize(
    ("words", "kind", "advice"),
    [
        ("queue 'x' does not exist", Refusal.FOR_GOOD, "CobaltProvider(queue=...)"),
        ("Failed to connect to queue manager", Refusal.FAILED, "does not answer"),
        ("The limit of 2 jobs per user in the 'debug' queue has been reached", Refusal.BUSY, "lower max_blocks"),
        ("node count out of realistic range", Refusal.FOR_GOOD, "nodes_per_block"),
        (
            "Filter clusterbank-account failed: X is not a valid project",
            Refusal.FOR_GOOD,
            "CobaltProvider(account=...)",
        ),
    ],
)
def test_refusal_comes_with_the_next_step(words, kind, advice):
    refused = DIALECT.refusal_of(Completed(1, "", words))
    assert refused.kind is kind
    assert advice in refused.words
