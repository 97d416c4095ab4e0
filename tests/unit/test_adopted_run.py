"""Runs that are taken over, or refused with the reason."""

import pytest

import cnflow
from cnflow import Config
from cnflow.adopted_run import adopt_ledger
from cnflow.config import DockerProvider, HighThroughputExecutor, LocalProvider, ThreadPoolExecutor
from cnflow.config.dump import plain
from cnflow.control_socket import FILE as SOCKET
from cnflow.errors import ConfigurationError
from cnflow.ids import BlockId, NativeId, RunId
from cnflow.ledger import FILE, ExecutorStarted, LedgerState, RunLedger, new_driver
from cnflow.ledger.records import BlocksAccepted, BlocksNamed, ManagerUp, decode_lines
from cnflow.model.manager_settings import PROTOCOL

MINE = Config(executors=[HighThroughputExecutor()])


@pytest.fixture
def leave(tmp_path):
    """Function that leaves the ledger of a killed driver, with one block; returns the run's folder."""

    def make(protocol=PROTOCOL, image="", provider=None, label="htex"):
        folder = tmp_path / "007"
        folder.mkdir()
        (folder / SOCKET).touch()
        ledger = RunLedger(folder, new_driver(RunId("run"), 0, "0.1", protocol))
        options = plain(provider or LocalProvider())
        started = ExecutorStarted(label=label, image=image, provider=options, endpoint="ipc:///tmp/x/managers")
        ledger.append(started, BlocksNamed(label, {BlockId("4"): "key"}))
        ledger.append(BlocksAccepted(label, {BlockId("4"): NativeId("n4")}), ManagerUp(label, "ab", BlockId("4")))
        ledger.abandon()
        return folder

    return make


def test_a_run_is_taken_over_with_its_id_its_blocks_and_numbers_beyond_those_of_its_driver(leave):
    folder = leave()
    ledger = adopt_ledger(folder, MINE)
    entry = ledger.adopted_executor("htex")
    assert (ledger.run, entry.natives, entry.next_block) == ("run", {"4": "n4"}, 5)
    assert entry.managers == {"ab": "4"}
    assert ledger.adopted_executor("other") is None
    assert not (folder / SOCKET).exists()
    first = ledger.first_task
    ledger.abandon()
    third = adopt_ledger(folder, MINE)  # although the second driver wrote nothing else
    assert third.first_task > first > 0
    third.abandon()
    assert LedgerState.after(decode_lines((folder / FILE).read_bytes())[0]).driver.generation == 2


@pytest.mark.parametrize(
    ("left", "config", "words"),
    [
        ({"protocol": PROTOCOL - 1}, MINE, r"belongs to cnflow 0\.1 \(protocol .*Take it over with that version"),
        ({"image": "python:3.11"}, MINE, "executor 'htex' has image '' now, and had 'python:3.11'"),
        ({"provider": DockerProvider()}, MINE, "executor 'htex' has provider 'local' now, and had 'docker'"),
        ({"label": "other"}, MINE, "executor 'other' is missing"),
        ({}, Config(executors=[ThreadPoolExecutor(label="htex")]), "is a ThreadPoolExecutor now, without blocks"),
    ],
    ids=["protocol", "image", "provider", "label", "threads"],
)
def test_another_version_or_configuration_is_refused_and_nothing_is_changed(leave, left, config, words):
    folder = leave(**left)
    before = (folder / FILE).read_bytes()
    for _ in range(2):  # the lock is given back
        with pytest.raises(ConfigurationError, match=words):
            cnflow.load(config, adopt=folder)
    assert (folder / FILE).read_bytes() == before
    assert (folder / SOCKET).exists()


def test_an_executor_of_a_template_need_not_be_in_the_configuration(leave):
    folder = leave(label="made", image="python:3.11", provider=DockerProvider())
    adopt_ledger(folder, Config(executors=[HighThroughputExecutor(provider=DockerProvider())])).abandon()
