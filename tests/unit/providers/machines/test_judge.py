"""Stories of blocks judged by the machines that a cloud lists, and by what these have printed."""

from dataclasses import replace

import pytest

from cnflow.model.block import BlockState, EndCause
from cnflow.model.machine import Machine, MachineState, Placement, Rate
from cnflow.providers._shared.machines import boot, tags
from cnflow.providers._shared.machines.console import end_in, last_output, output_of
from cnflow.providers._shared.machines.judge import Block, blocks_of, judge_block

M1 = Placement("m1", "a", rate=Rate(0.1, 2.0))


def machine(name="i-1", state=MachineState.RUNNING, *, block="b", rank=0, nodes=1, launched_at=0.0, **options):
    own = {tags.BLOCK: block, tags.ROLE: tags.ROLE_BLOCK, tags.RANK: str(rank), tags.NODES: str(nodes)}
    return Machine(name, state, own, M1, launched_at=launched_at, **options)


def judge(*machines, consoles=None, wall=10.0, lag=60.0):
    ends = {name: end_in(text) for name, text in (consoles or {}).items()}
    return judge_block(Block("b", machines), ends, wall=wall, lag=lag)


def console(*lines, output=("hello", "cannot go on"), end=""):
    return "\n".join(["kernel: booted", *lines, boot.OUTPUT, *output, end, ""])


def test_a_block_without_machines_is_gone():
    assert judge().state is BlockState.GONE


@pytest.mark.parametrize(
    ("states", "state"),
    [
        ((MachineState.PENDING,), BlockState.PENDING),
        ((MachineState.RUNNING,), BlockState.RUNNING),
        ((MachineState.RUNNING, MachineState.PENDING), BlockState.PENDING),
        ((MachineState.RUNNING, MachineState.ENDED), BlockState.RUNNING),
    ],
)
def test_a_block_lives_while_one_of_its_machines_does(states, state):
    machines = [machine(f"i-{rank}", each, rank=rank, nodes=len(states)) for rank, each in enumerate(states)]
    assert judge(*machines).state is state


def test_a_block_has_the_rate_of_all_its_machines():
    assert judge(machine("i-0", nodes=2), machine("i-1", rank=1, nodes=2)).rate == Rate(0.2, 4.0)
    unknown = replace(machine("i-1", rank=1, nodes=2), placement=Placement("m9", rate=Rate(None, 8.0)))
    assert judge(machine("i-0", nodes=2), unknown).rate == Rate(None, 10.0)


def test_a_manager_that_ends_well_ends_its_block():
    ended = machine(state=MachineState.STOPPING)
    status = judge(ended, consoles={"i-1": console(end=boot.EXIT_CODE.format(0))})
    assert (status.state, status.exit_code) == (BlockState.ENDED, 0)


def test_a_manager_that_fails_is_reported_with_code_and_last_lines():
    ended = machine(state=MachineState.ENDED)
    status = judge(ended, consoles={"i-1": console(end=boot.EXIT_CODE.format(3))})
    assert (status.state, status.exit_code, status.cause) == (BlockState.FAILED, 3, EndCause.OTHER)
    assert "Machine i-1 (m1 in a) ended: its manager exited with code 3" in status.message
    assert status.message.endswith("cannot go on")
    assert "kernel" not in status.message


def test_a_boot_that_failed_is_reported_with_the_console():
    text = "\n".join(["kernel: booted", "cloud-init: running", boot.BOOT_FAILED.format("no route to 10.0.0.1")])
    status = judge(machine(state=MachineState.ENDED), consoles={"i-1": text})
    assert "could not start a manager: no route to 10.0.0.1" in status.message
    assert "cloud-init: running" in status.message


def test_the_cause_that_the_cloud_knows_comes_first():
    taken = machine(state=MachineState.ENDED, cause=EndCause.PREEMPTED, reason="Server.SpotInstanceTermination")
    status = judge(taken, consoles={"i-1": console(end=boot.EXIT_CODE.format(143))})
    assert status.cause is EndCause.PREEMPTED
    assert "was taken back by the cloud: Server.SpotInstanceTermination" in status.message


def test_an_announced_end_is_a_preemption_though_the_cloud_shows_none():
    lines = "\n".join([boot.PREEMPTED.format("terminate at 12:00"), boot.EXIT_CODE.format(143)])
    status = judge(machine(state=MachineState.ENDED), consoles={"i-1": console(end=lines)})
    assert status.cause is EndCause.PREEMPTED
    assert "terminate at 12:00" in status.message


def test_an_end_of_unknown_reason_is_a_failure():
    status = judge(machine(state=MachineState.ENDED))
    assert (status.state, status.cause) == (BlockState.FAILED, EndCause.OTHER)
    assert "neither the cloud nor its console show why" in status.message


def test_a_block_whose_other_machines_never_came_fails_once_they_would_be_listed():
    first = machine(nodes=3, launched_at=0.0)
    assert judge(first, wall=30.0).state is BlockState.RUNNING
    status = judge(first, wall=90.0)
    assert status.state is BlockState.FAILED
    assert "1 of its 3 machines" in status.message


def test_a_machine_that_ended_long_ago_and_is_listed_no_more_does_not_end_its_block():
    assert judge(machine(nodes=2, launched_at=0.0), wall=7200.0).state is BlockState.RUNNING


def test_machines_are_grouped_by_block_and_those_of_interchanges_are_left_out():
    interchange = Machine("i-9", MachineState.RUNNING, {tags.ROLE: tags.ROLE_INTERCHANGE})
    found = blocks_of([machine("i-2", rank=1, nodes=2), interchange, machine("i-1", nodes=2), machine(block="c")])
    assert {name: [each.id for each in block.machines] for name, block in found.items()} == {
        "b": ["i-1", "i-2"],
        "c": ["i-1"],
    }


def test_the_output_of_a_manager_is_told_from_that_of_the_machine():
    text = console(output=[f"line {n}" for n in range(5)])
    assert last_output(text, 2) == b"line 3\nline 4\n"
    assert output_of(text).splitlines()[:5] == [f"line {n}" for n in range(5)]
    assert last_output("kernel: booted\n", 5) == b"kernel: booted\n"
    assert last_output("", 5) == b""
    assert last_output(text, 0) == b""


def test_a_console_with_carriage_returns_is_read():
    text = console(end=boot.EXIT_CODE.format(3)).replace("\n", "\r\n")
    end = end_in(text)
    assert (end.exit_code, end.last_lines) == (3, "hello\ncannot go on")


def test_a_prefix_of_the_console_does_not_hide_an_end():
    assert end_in(f"[ 12.3] cloud-init[99]: {boot.EXIT_CODE.format(7)}").exit_code == 7
