"""The driver of batch schedulers, on a channel whose answers the test gives."""

import pytest

from cnflow.blocks.block import Block, Stage
from cnflow.config import SlurmProvider
from cnflow.errors import BlockError, ChannelError
from cnflow.ids import NativeId
from cnflow.interfaces.channel import Completed
from cnflow.model.block import BlockState, EndCause
from cnflow.providers.batch.provider import BatchBackend
from cnflow.providers.batch.slurm import SlurmDialect

ONE = NativeId("1")
RUNNING = "1|RUNNING|None|2026-11-26T04:18:47|n1|cnflow-run-htex-0\n"
PENDING = "1|PENDING|Priority|N/A||cnflow-run-htex-0\n"


class Told:
    """A channel that answers each program as the test says; an error is raised."""

    name = "login.site.example"
    is_local = True

    def __init__(self, **answers):
        self.answers = answers
        self.commands = []

    def run(self, argv, *, stdin=b"", timeout=None):
        self.commands.append(list(argv))
        answer = self.answers.get("accounts" if "sacct" in " ".join(argv) else argv[0], Completed(0, "", ""))
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Completed) else Completed(0, answer, "")

    def close(self):
        pass


def backend(**answers):
    channel = Told(**answers)
    return BatchBackend(SlurmProvider(), channel=channel, pause=lambda _: None), channel


def test_an_empty_question_asks_nobody():
    provider, channel = backend()
    assert provider.status([]) == {}
    assert provider.cancel([]) == {}
    assert channel.commands == []


def test_one_query_has_all_states_and_a_living_job_is_not_looked_up():
    provider, channel = backend(squeue=RUNNING)
    assert provider.status([ONE])[ONE].state is BlockState.RUNNING
    assert len(channel.commands) == 1


def test_a_scheduler_without_an_answer_is_an_error_with_its_words():
    provider, _ = backend(squeue=Completed(1, "", "Unable to contact slurm controller"))
    with pytest.raises(BlockError, match=r"Slurm on login\.site\.example does not answer: Unable to contact"):
        provider.status([ONE])


def test_accounts_that_cannot_be_asked_leave_what_the_queue_says():
    provider, _ = backend(squeue="1|TIMEOUT|TimeLimit|N/A|n1|x\n", accounts=ChannelError("gone"))
    assert provider.status([ONE])[ONE].cause is EndCause.WALLTIME


def test_an_end_is_looked_up_once():
    provider, channel = backend(squeue=Completed(1, "", "Invalid job id specified"), accounts="1|FAILED|3:0|None\n")
    assert [provider.status([ONE])[ONE].exit_code for _ in range(3)] == [3, 3, 3]
    assert sum("sacct" in " ".join(command) for command in channel.commands) == 1


def test_a_cancelled_job_that_is_still_listed_is_not_confirmed():
    provider, _ = backend(squeue=RUNNING)
    assert provider.cancel([ONE]) == {ONE: "Slurm still lists it"}


def test_expected_starts_are_asked_for_once_a_minute_and_told(monkeypatch):
    monkeypatch.setattr(SlurmDialect, "expected_start_command", lambda *_: ["starts"])
    monkeypatch.setattr(SlurmDialect, "expected_starts_of", lambda _, done: {ONE: done.stdout})
    provider, channel = backend(squeue=PENDING, starts="noon")
    messages = [provider.status([ONE])[ONE].message for _ in range(3)]
    assert all(message.endswith("; expected to start at noon") for message in messages)
    assert channel.commands.count(["starts"]) == 1


def test_all_blocks_of_the_user_are_found_by_their_names():
    lines = ["7_1|RUNNING|None|N/A|n1|cnflow-run-htex-4.6", "8|RUNNING|None|N/A|n1|my-own-job"]
    provider, _ = backend(squeue="\n".join(lines))
    assert provider.find_all() == {"7_1": "cnflow-run-htex-5"}


def test_a_block_that_is_put_back_into_the_queue_has_all_its_time_again():
    block = Block("0", native=ONE)
    block.become(Stage.PENDING)
    block.on_alive(BlockState.RUNNING, 0.0)
    assert block.is_overdue(100.0, 100.0)
    block.on_alive(BlockState.PENDING, 101.0)
    assert not block.is_overdue(1000.0, 100.0)
    block.on_alive(BlockState.RUNNING, 1000.0)
    assert not block.is_overdue(1099.0, 100.0)
    assert block.is_overdue(1100.0, 100.0)
