"""What an executor takes over: blocks that live, their endpoint, their keys."""

import msgspec
import pytest

from cnflow.errors import BlockError, ConfigurationError
from cnflow.executors.high_throughput.takeover import adopted_tasks_of, make_own_folder, take_over
from cnflow.ids import BlockId, NativeId, RunId
from cnflow.interfaces import RunContext
from cnflow.ledger import ExecutorStarted, RunLedger, new_driver, open_ledger
from cnflow.ledger.records import BlocksAccepted, BlocksNamed, ManagerUp
from cnflow.model.block import BlockState, BlockStatus


class Provider:
    def __init__(self, states, found=None):
        self.states, self.found, self.cancelled = states, found or {}, []

    def find(self, run, executor):
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    def status(self, natives):
        return {native: BlockStatus(self.states[native]) for native in natives if native in self.states}

    def cancel(self, natives):
        self.cancelled += natives
        return {}


@pytest.fixture
def run(tmp_path):
    """A run with four blocks: 0 runs, 1 has ended, 2 and 3 got no answer; one manager in each of the first two."""
    first = RunLedger(tmp_path, new_driver(RunId("run"), 0, "0.1", 14))
    endpoint = "tcp://{host}:4711"
    started = ExecutorStarted(
        label="htex", hosts=("10.0.0.1",), endpoint=endpoint, server_public="pub", server_secret="sec"
    )
    first.append(started, BlocksNamed("htex", {BlockId(block): f"key {block}" for block in "0123"}))
    first.append(BlocksAccepted("htex", {BlockId("0"): NativeId("n0"), BlockId("1"): NativeId("n1")}))
    first.append(ManagerUp("htex", "aa", BlockId("0")), ManagerUp("htex", "bb", BlockId("1")))
    first.abandon()
    ledger = RunLedger(tmp_path, new_driver(RunId("run"), 1, "0.1", 14), open_ledger(tmp_path))
    yield RunContext(RunId("run"), tmp_path, ledger=ledger)
    ledger.abandon()


def test_living_and_late_found_blocks_are_taken_over_and_ended_ones_removed(run):
    provider = Provider({"n0": BlockState.RUNNING, "n1": BlockState.FAILED, "n2": BlockState.PENDING}, {"2": "n2"})
    left = take_over(run, "htex", provider)
    assert left.natives == {"0": "n0", "2": "n2"}
    assert left.managers == {b"\xaa": "0"}
    assert (left.ended, left.unconfirmed, provider.cancelled) == (["n1"], {}, ["n1"])
    assert left.place[1] == 4711
    assert left.endpoint.hosts == ("10.0.0.1",)
    assert left.endpoint.keys.server == ("pub", "sec")
    assert left.endpoint.keys.public_keys()["2"] == "key 2"
    assert left.entry.next_block == 4


def test_blocks_whose_keys_are_not_in_the_ledger_are_cancelled(run):
    started = run.ledger.adopted.executors["htex"].started
    run.ledger.adopted.executors["htex"].started = msgspec.structs.replace(started, server_secret="")
    provider = Provider({"n0": BlockState.RUNNING, "n1": BlockState.FAILED, "n2": BlockState.PENDING}, {"2": "n2"})
    left = take_over(run, "htex", provider)
    assert (left.natives, left.managers, left.endpoint) == ({}, {}, None)
    assert sorted(left.ended) == sorted(provider.cancelled) == ["n0", "n1", "n2"]
    assert left.entry.next_block == 4


def test_a_provider_that_does_not_answer_leaves_all_known_blocks_alive(run):
    provider = Provider({}, BlockError("timeout"))
    assert take_over(run, "htex", provider).natives == {"0": "n0", "1": "n1"}
    assert provider.cancelled == []


def test_an_executor_without_earlier_blocks_starts_anew(run):
    assert take_over(run, "other", Provider({})) is None
    assert adopted_tasks_of(run, "other") is None
    assert adopted_tasks_of(run, "htex") is not None


def test_a_folder_of_socket_files_that_others_can_enter_is_refused(tmp_path):
    folder = tmp_path / "cnflow-x"
    make_own_folder(str(folder))
    make_own_folder(str(folder))
    folder.chmod(0o755)
    with pytest.raises(ConfigurationError, match="is not a private folder"):
        make_own_folder(str(folder))
