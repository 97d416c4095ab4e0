"""Findings of a job that looks at its site from a node."""

import subprocess

from cnflow.config import SlurmProvider
from cnflow.errors import ChannelError
from cnflow.interfaces.channel import Completed
from cnflow.model.finding import Verdict
from cnflow.providers.batch.probe_job import Probe, findings_in
from cnflow.providers.batch.provider import BatchBackend


def verdicts(output, **options):
    return [(found.verdict, found.found) for found in findings_in(output, Probe(addresses=["10.0.0.1"], **options))]


def test_node_that_reaches_one_of_several_addresses_is_fine():
    output = (
        "module noise\ncnflow-probe host n1\ncnflow-probe address 10.0.0.1 timed out\n"
        "cnflow-probe address 10.1.0.1 ok 0.4\ncnflow-probe program /usr/bin/apptainer\ncnflow-probe end\n"
    )
    assert verdicts(output, programs=["apptainer"]) == [
        (Verdict.GOOD, "reaches the interchange's machine at 10.1.0.1 (0.4 ms)"),
        (Verdict.GOOD, "has /usr/bin/apptainer"),
    ]
    assert findings_in(output, Probe(["10.0.0.1"]))[0].about == "node n1"


def test_node_that_reaches_no_address_names_each_with_its_reason():
    output = "cnflow-probe host n1\ncnflow-probe address 10.0.0.1 [Errno 111] Connection refused\ncnflow-probe end\n"
    assert verdicts(output) == [
        (Verdict.BAD, "does not reach the interchange's machine: 10.0.0.1: [Errno 111] Connection refused")
    ]


def test_node_without_a_runtime_and_one_on_which_python_fails_are_told():
    output = "cnflow-probe host n1\npython: not found\ncnflow-probe python exit code 127\ncnflow-probe end\n"
    (reach, runtime) = verdicts(output, programs=["apptainer", "singularity"])
    assert reach[0] is Verdict.BAD
    assert "does not run there" in reach[1]
    assert runtime == (Verdict.ABSENT, "has no apptainer or singularity")


class BreakingChannel:
    """A channel that breaks once the job is in the queue, for one command."""

    name, is_local = "login1", True

    def __init__(self):
        self.programs = []

    def run(self, argv, *, stdin=b"", timeout=None):
        self.programs.append(argv[0])
        if argv[0] == "squeue":
            raise ChannelError("login1 ended the connection.")
        facts = "folder /site\nhome /home/ada\nuser ada\nhost login1\nmachine x86_64\n"
        return Completed(0, {"sbatch": "7\n", "sh": facts}.get(argv[0], ""), "")

    def start(self, argv):
        return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def put(self, content, path, mode=0o600):
        pass

    def close(self):
        pass


def test_job_is_cancelled_when_the_connection_breaks():
    channel = BreakingChannel()
    provider = BatchBackend(SlurmProvider(), channel=channel, pause=lambda _: None)
    (finding,) = provider.probe_node(["10.0.0.1"], (0, 0), [], 60.0)
    assert (finding.verdict, finding.found) == (Verdict.BAD, "login1 ended the connection.")
    assert [program for program in channel.programs if program.startswith("s")][-3:] == ["squeue", "scancel", "sh"]
