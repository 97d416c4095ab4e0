"""The driver of batch schedulers, on a channel whose answers the test gives."""

import itertools

import pytest

from cnflow.blocks.block import Block, Stage
from cnflow.config import SlurmProvider
from cnflow.errors import BlockError, ChannelError
from cnflow.ids import BlockId, NativeId
from cnflow.interfaces.channel import Completed
from cnflow.model.block import BlockRequest, BlockState, EndCause, Refusal, Refused
from cnflow.model.image import NO_IMAGE
from cnflow.model.manager_settings import ManagerSettings
from cnflow.model.node_command import NodeCommand
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
        if callable(answer):
            answer = answer(argv)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Completed) else Completed(0, answer, "")

    def close(self):
        pass


def backend(*, now=lambda: 0.0, **answers):
    channel = Told(**answers)
    return BatchBackend(SlurmProvider(), channel=channel, pause=lambda _: None, now=now), channel


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


def test_usage_of_a_program_of_another_scheduler_is_quoted_in_part():
    usage = "\n".join(["usage: squeue [options]", *(f"[-{n}]" for n in range(80)), 'invalid option argument "-o"'])
    provider, _ = backend(squeue=Completed(1, "", usage))
    with pytest.raises(BlockError, match=r'(?s)usage: squeue.*76 more.*invalid option argument "-o"$') as caught:
        provider.status([ONE])
    assert len(str(caught.value).splitlines()) == 7


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


FACTS = "folder /site\nhome /home/ada\nuser ada\nhost login\nmachine x86_64\n"


@pytest.mark.parametrize(("limit", "accepted"), [(0, 0), (1, 1), (3, 3), (5, 5), (7, 7)])
def test_an_array_above_a_limit_is_submitted_in_parts(limit, accepted, tmp_path):
    numbers, room = itertools.count(1), limit

    def sbatch(argv):
        nonlocal room
        first, _, last = argv[-1].rpartition("-")[2].removesuffix(".sh").partition(".")
        size = int(last or first) - int(first) + 1
        if size > room:
            return Completed(1, "", "sbatch: error: QOSMaxSubmitJobPerUserLimit")
        room -= size
        return Completed(0, f"{next(numbers)}\n", "")

    provider, _ = backend(sbatch=sbatch, sh=FACTS)
    command = NodeCommand(("true",))
    requests = [request_of(str(number), command, tmp_path) for number in range(7)]
    answers = provider.submit(requests)
    natives = [answer for answer in answers.values() if not isinstance(answer, Refused)]
    assert len(set(natives)) == len(natives) == accepted
    assert all(answer.kind is Refusal.BUSY for answer in answers.values() if isinstance(answer, Refused))


def test_a_site_that_refuses_arrays_gets_a_job_for_each_block(tmp_path):
    channel = Told(
        sbatch=lambda argv: Completed(0, argv[-1].rpartition("-")[2].removesuffix(".sh") + "\n", ""), sh=FACTS
    )
    provider = BatchBackend(SlurmProvider(job_arrays=False), channel=channel, pause=lambda _: None)
    answers = provider.submit([request_of(block, NodeCommand(("true",)), tmp_path) for block in ("4", "5")])
    assert answers == {"4": "4", "5": "5"}


@pytest.fixture
def requests(tmp_path):
    return [request_of(str(number), NodeCommand(("true",), files={}), tmp_path) for number in range(4)]


def test_a_job_that_is_not_listed_yet_keeps_its_keys(requests):
    times = iter([0.0, 59.0, 60.0])
    unlisted = Completed(1, "", "Invalid job id specified")
    provider, channel = backend(now=lambda: next(times), sbatch="1\n", sh=FACTS, squeue=unlisted)
    provider.submit(requests[:1])
    states = []
    removals = []
    for _ in range(2):
        states.append(provider.status([ONE])[ONE].state)
        removals.append([command for command in channel.commands if command[0] == "rm"])
    assert states == [BlockState.GONE] * 2
    assert removals == [[], [["rm", "-f", "--", "/site/runs/run/htex/cnflow-run-htex-0.settings.0"]]]


def test_a_site_that_is_not_reached_is_busy_and_is_asked_once(requests):
    provider, channel = backend(sh=lambda argv: FACTS if "tar -x" not in argv[2] else lost())

    def lost():
        raise ChannelError("login.site.example ended the connection.")

    answers = provider.submit(requests)
    assert {answer.kind for answer in answers.values()} == {Refusal.BUSY}
    assert {answer.words for answer in answers.values()} == {"login.site.example ended the connection."}
    assert sum("tar -x" in command[2] for command in channel.commands) == 1


def test_a_folder_that_cannot_be_written_is_a_failure(requests):
    full = Completed(2, "", "tar: Cannot write: Disk quota exceeded")
    provider, _ = backend(sh=lambda argv: Completed(0, FACTS, "") if "tar -x" not in argv[2] else full)
    answer = provider.submit(requests[:1])["0"]
    assert answer.kind is Refusal.FAILED
    assert "/site/runs/run/htex on login.site.example: tar: Cannot write: Disk quota exceeded" in answer.words


def request_of(block, command, folder):
    manager = ManagerSettings(hosts=(), endpoint="", executor="htex", block=block)
    log_file = folder / f"block-{block}.log"
    return BlockRequest("run", "htex", BlockId(block), NO_IMAGE, manager, log_file, command=command)


def test_all_blocks_of_the_user_are_found_by_their_names():
    lines = ["7_1|RUNNING|None|N/A|n1|cnflow-run-htex-4.6", "8|RUNNING|None|N/A|n1|my-own-job"]
    provider, _ = backend(squeue="\n".join(lines))
    assert provider.find_all() == {"7_1": "cnflow-run-htex-5"}


def test_keys_of_a_cancelled_job_of_any_run_are_removed():
    name = "cnflow-0123456789ab-my-executor-4.6"
    listed = iter([f"7_1|RUNNING|None|N/A|n1|{name}", f"7_1|CANCELLED|None|N/A|n1|{name}"])
    provider, channel = backend(squeue=lambda _: Completed(0, next(listed), ""), sh=FACTS)
    provider.cancel(list(provider.find_all()))
    path = f"/site/runs/0123456789ab/my-executor/{name}.settings.1"
    assert ["rm", "-f", "--", path] in channel.commands


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
