"""Tests of the dialect of HTCondor: its script and the output of its commands, as HTCondor 23.9 prints it."""

from dataclasses import replace

import pytest

from cnflow.config.condor import CondorProvider
from cnflow.errors import ConfigurationError
from cnflow.interfaces.channel import Completed
from cnflow.model.block import BlockState, EndCause, Refusal
from cnflow.providers.batch.condor import DIALECT
from cnflow.providers.batch.dialect import JobRequest

REQUEST = JobRequest("cnflow-r-e-1", 1, None, "echo body\n", "/home/u/.cnflow/out")
NEVER_RAN = "(MY.NumJobStarts =?= undefined || MY.NumJobStarts == 0)"
ENDS_REMOVED = "The job attribute PeriodicRemove expression '(JobStatus == 1 && ...)' evaluated to TRUE"


def answered(text):
    return Completed(0, text, "")


def test_script_submits_itself_and_is_the_job():
    assert DIALECT.submit_script(CondorProvider(), REQUEST) == (
        "#!/bin/sh\n"
        'if [ "${1-}" != run ]; then\n'
        "exec condor_submit -terse -append \"executable = $0\" - <<'CNFLOW_DESCRIPTION'\n"
        "arguments = run\n"
        "batch_name = cnflow-r-e-1\n"
        'My.CnflowName = "cnflow-r-e-1"\n'
        "output = /home/u/.cnflow/out\n"
        "stream_output = True\n"
        'environment = "CNFLOW_CONDOR_PROCESS=$(Process)"\n'
        "should_transfer_files = YES\n"
        "when_to_transfer_output = ON_EXIT\n"
        'transfer_output_files = ""\n'
        "requirements = (MY.NumJobStarts =?= undefined || MY.NumJobStarts == 0)\n"
        "periodic_remove = (JobStatus == 1 && NumJobStarts > 0) || "
        "(JobStatus == 5 && HoldReasonCode =!= 1 && HoldReasonCode =!= 15)\n"
        "job_max_vacate_time = 30\n"
        "queue 1\n"
        "CNFLOW_DESCRIPTION\n"
        "fi\n"
        "exec 2>&1\n"
        'export PATH="${PATH:-/usr/local/bin:/usr/bin:/bin}" HOME="${HOME:-$PWD}" USER="${USER:-$(id -un)}"\n'
        "echo body\n"
    )
    assert DIALECT.submit_command(CondorProvider(), "/s") == ["sh", "/s"]


def test_options_stand_in_the_description():
    settings = CondorProvider(
        cores_per_slot=4,
        mem_per_slot="2GB",
        disk_per_slot="1GiB",
        gpus_per_slot=1,
        project="Physics",
        accounting_group="group_hep",
        transfer_input_files=["data.csv", "osdf:///ospool/x"],
        notice=0,
        scheduler_options='+SingularityImage = "/cvmfs/x"\nRequirements = HAS_MODULES == True',
        requirements='Arch == "X86_64" || Arch == "aarch64"',
    )
    request = JobRequest("n", 1, 600.0, "", "/o", size=3)
    lines = DIALECT.submit_script(settings, request).splitlines()
    for line in (
        "output = /o.$(Process)",
        "brought='data.csv, osdf:///ospool/x'",
        "request_cpus = 4",
        "request_memory = 1908",
        "request_disk = 1048576",
        "request_gpus = 1",
        f'requirements = (Arch == "X86_64" || Arch == "aarch64") && (HAS_MODULES == True) && {NEVER_RAN}',
        'My.ProjectName = "Physics"',
        "accounting_group = group_hep",
        '+SingularityImage = "/cvmfs/x"',
        "queue 3",
    ):
        assert line in lines
    assert "Requirements = HAS_MODULES == True" not in lines
    assert any(line.endswith("|| (JobStatus == 2 && time() - EnteredCurrentStatus > 600)") for line in lines)
    assert settings.traits().cores == 4.0


def test_files_are_brought_to_the_slot_and_folders_are_packed():
    request = replace(REQUEST, files=("/s/capsules/TAG",), element_files=("/s/n.settings",), size=2)
    script = DIALECT.submit_script(CondorProvider(transfer_input_files=["data"]), request)
    assert "should_transfer_files = YES" in script
    assert (
        "umask 077\n"
        "brought='/s/n.settings.$(Process), data'\n"
        "for each in /s/capsules/TAG; do\n"
        '  if [ -d "$each" ]; then\n'
        '    [ -f "$each.tar" ] || '
        '{ tar -cf "$each.tar.$$" -C "$each" . && mv "$each.tar.$$" "$each.tar"; } || exit 1\n'
        "    each=$each.tar\n"
        "  fi\n"
        '  brought="$each${brought:+, $brought}"\n'
        "done\n"
        'exec condor_submit -terse -append "executable = $0" -append "transfer_input_files = $brought" - <<'
    ) in script
    assert (
        "for each in TAG; do\n"
        '  [ ! -f "$each.tar" ] || { mkdir "$each" && tar -xf "$each.tar" -C "$each" && rm "$each.tar"; } || exit 1\n'
        "done\n"
        "echo body\n"
    ) in script


def test_nothing_is_brought_where_files_are_shared():
    script = DIALECT.submit_script(CondorProvider(shared_files=True), REQUEST)
    assert "should_transfer_files = IF_NEEDED" in script
    assert "transfer_input_files" not in script


def test_all_commands_go_to_the_named_queue():
    settings = CondorProvider(schedd="q1", pool="cm.site.org")
    where = ["-pool", "cm.site.org", "-name", "q1"]
    commands = [
        DIALECT.status_command(settings, ["1.0"]),
        DIALECT.ended_command(settings, ["1.0"]),
        DIALECT.find_command(settings),
        DIALECT.cancel_command(settings, ["1.0"]),
    ]
    assert all(command[1:5] == where for command in commands)
    assert "condor_submit -terse -pool cm.site.org -name q1 -append" in DIALECT.submit_script(settings, REQUEST)


def test_queue_statement_of_the_user_is_refused():
    with pytest.raises(ConfigurationError, match="cnflow adds the queue statement itself"):
        CondorProvider(scheduler_options="queue 5")


def test_several_nodes_are_refused():
    with pytest.raises(ConfigurationError, match=r"has 1 node\. Set max_blocks instead"):
        CondorProvider(nodes_per_block=2)


def test_comma_in_a_file_name_is_refused():
    with pytest.raises(ConfigurationError, match="separates files by commas"):
        DIALECT.refuse(CondorProvider(transfer_input_files=["a,b"]))


def test_ids_are_those_of_the_cluster():
    assert DIALECT.job_ids_of(answered("7.0 - 7.2\n"), 3) == ["7.0", "7.1", "7.2"]
    assert DIALECT.job_ids_of(answered("8.0 - 8.0\n"), 1) == ["8.0"]
    assert DIALECT.element_of("7.2") == 2
    with pytest.raises(ValueError, match="printed no id"):
        DIALECT.job_ids_of(answered(""), 1)


def test_states_come_with_reasons_and_hosts():
    states = DIALECT.states_of(
        answered(
            "2.0\t1\t0\tundefined\tundefined\tno match found \tundefined\n"
            "2.1\t2\t0\tundefined\tundefined\tundefined\tslot1_2@n1\n"
            "2.2\t5\t1\t1\tvia condor_hold (by user alice)\tundefined\tundefined\n"
            "2.3\t5\t0\t13\tTransfer input files failure\tundefined\tundefined\n"
            "2.4\t1\t1\tundefined\tundefined\tundefined\tundefined\n"
            "2.5\t4\t1\tundefined\tundefined\tundefined\tundefined\n"
            "2.6\t5\t1\t34\tError from slot1: memory usage exceeded request_memory\tundefined\tundefined\n"
        )
    )
    assert states["2.0"].state is BlockState.PENDING
    assert states["2.0"].message == "waits in HTCondor's queue: no match found"
    assert (states["2.1"].state, states["2.1"].hosts) == (BlockState.RUNNING, ("n1",))
    assert states["2.2"].state is BlockState.PENDING
    assert "'condor_release' lets it go" in states["2.2"].message
    assert (states["2.3"].state, states["2.3"].cause) == (BlockState.FAILED, EndCause.OTHER)
    assert "Transfer input files failure" in states["2.3"].message
    assert (states["2.4"].state, states["2.4"].cause) == (BlockState.FAILED, EndCause.PREEMPTED)
    assert states["2.5"].state is BlockState.UNKNOWN
    assert states["2.6"].cause is EndCause.OOM


def test_queue_that_does_not_answer_tells_nothing():
    silent = Completed(1, "", "-- Failed to fetch ads from: <127.0.0.1:19618>")
    assert DIALECT.states_of(silent) is None
    assert DIALECT.ends_of(silent) is None
    assert DIALECT.found_in(silent) is None
    assert DIALECT.not_cancelled(silent, ["1.0"]) == {"1.0": "-- Failed to fetch ads from: <127.0.0.1:19618>"}


def test_history_tells_how_jobs_ended():
    undefined = "\tundefined"
    ends = DIALECT.ends_of(
        answered(
            f"1.0\t4\t0{undefined}\t2\t1{undefined * 3}{undefined}\n"
            f"1.1\t4\t3{undefined}\t2\t1{undefined * 3}{undefined}\n"
            f"1.2\t4{undefined}\t9\t2\t1{undefined * 3}{undefined}\n"
            f"1.3\t3{undefined}\t15\t2\t1{undefined * 2}\tslot1@n1\t{ENDS_REMOVED}\n"
            f"1.4\t3{undefined}\t9\t1\t1{undefined * 2}\tslot1@n1\t{ENDS_REMOVED}\n"
            f"1.5\t3{undefined}\t15\t2\t1{undefined * 3}\tvia condor_rm (by user alice)\n"
            f"1.6\t3{undefined * 2}\t5\t0\t12\tTransfer failed{undefined}\t{ENDS_REMOVED}\n"
            f"1.7\t3{undefined * 2}\t2\t1{undefined * 3}\tThe system macro SYSTEM_PERIODIC_REMOVE expression was TRUE\n"
        )
    )
    assert ends["1.0"].state is BlockState.ENDED
    assert (ends["1.1"].state, ends["1.1"].exit_code) == (BlockState.FAILED, 3)
    assert ends["1.2"].exit_code == -9
    assert ends["1.3"].cause is EndCause.WALLTIME
    assert ends["1.4"].cause is EndCause.PREEMPTED
    assert "evicted from n1" in ends["1.4"].message
    assert ends["1.5"].cause is EndCause.USER
    assert "(by user alice)" in ends["1.5"].message
    assert ends["1.6"].cause is EndCause.OTHER
    assert "Transfer failed" in ends["1.6"].message
    assert "SYSTEM_PERIODIC_REMOVE" in ends["1.7"].message


def test_jobs_are_found_by_name():
    assert DIALECT.found_in(answered("3.0\tcnflow-r-e-1\n3.1\tcnflow-r-e-1\n")) == {
        "3.0": "cnflow-r-e-1",
        "3.1": "cnflow-r-e-1",
    }


def test_job_that_is_gone_counts_as_cancelled():
    words = "Job 2.3 marked for removal\nJob 2.1 not found\n"
    assert DIALECT.not_cancelled(Completed(0, words, ""), ["2.1", "2.3"]) == {}
    assert DIALECT.not_cancelled(Completed(1, "", "Permission denied"), ["2.1"]) == {"2.1": "Permission denied"}


@pytest.mark.parametrize(
    ("words", "kind", "advice"),
    [
        ("ERROR: I don't know about the 'bogus' universe.", Refusal.FOR_GOOD, "scheduler_options"),
        ("ERROR: Parse error in expression: \n\tRequirements = (((", Refusal.FOR_GOOD, "Correct requirements="),
        ("ERROR: Can't find address of local schedd", Refusal.FAILED, "condor_schedd"),
        (
            "ERROR: Number of submitted jobs would exceed MAX_JOBS_SUBMITTED",
            Refusal.BUSY,
            "another try follows",
        ),
        ("ERROR: Submitting jobs as user/group 0 (root) is not allowed", Refusal.FOR_GOOD, "as another user"),
        ("ERROR: Cannot allocate a cluster id", Refusal.FOR_GOOD, "none of root"),
    ],
)
def test_refusal_comes_with_the_next_step(words, kind, advice):
    refused = DIALECT.refusal_of(Completed(1, "", words))
    assert refused.kind is kind
    assert advice in refused.words
    assert words.split()[1] in refused.words
