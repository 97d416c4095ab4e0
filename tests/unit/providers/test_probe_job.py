"""Findings of a job that looks at its site from a node."""

from cnflow.model.finding import Verdict
from cnflow.providers.batch.probe_job import Probe, findings_in


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
