"""Ledgers: what is written, what survives, who may open one."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnflow.blocks.provider_calls import ProviderCalls
from cnflow.errors import BlockError, ConfigurationError, ProviderBusyError
from cnflow.ids import BlockId, NativeId, RunId
from cnflow.ledger import FILE, ExecutorLedger, ExecutorStarted, LedgerState, RunLedger, new_driver, open_ledger
from cnflow.ledger.records import BlocksAccepted, BlocksEnded, BlocksLeft, BlocksNamed, decode_lines, encode
from cnflow.model.block import BlockRequest, Refusal, Refused
from cnflow.model.image import NO_IMAGE
from cnflow.model.manager_settings import ManagerSettings

STARTED = ExecutorStarted(label="htex", hosts=("10.0.0.1",), endpoint="tcp://{host}:5", server_secret="s")
DRIVER = new_driver(RunId("run"), 0, "0.2", 14)


def request(block, folder):
    settings = ManagerSettings(hosts=(), endpoint="", executor="htex", block=block, public_key=f"key {block}")
    return BlockRequest(RunId("run"), "htex", BlockId(block), NO_IMAGE, settings, Path(folder) / "log")


@pytest.fixture
def ledger(tmp_path):
    made = RunLedger(tmp_path, DRIVER)
    yield made
    made.close()


@pytest.fixture
def part(ledger):
    return ExecutorLedger(ledger, STARTED, is_durable=True)


def read(folder):
    return LedgerState.after(decode_lines((folder / FILE).read_bytes())[0])


class Provider:
    """Answers as the test says, and looks into the ledger meanwhile."""

    def __init__(self, folder, answers):
        self.folder, self.answers, self.seen = folder, answers, None

    def submit(self, requests):
        self.seen = read(self.folder)
        if isinstance(self.answers, Exception):
            raise self.answers
        return self.answers

    def find(self, run, executor):
        return {BlockId("1"): NativeId("late")}

    def cancel(self, blocks):
        return {NativeId("late"): "still there"}


def test_a_run_without_blocks_has_no_ledger(ledger, part, tmp_path):
    part.close()
    assert not (tmp_path / FILE).exists()


def test_the_name_of_a_block_is_written_before_it_is_submitted_and_its_id_after(part, tmp_path):
    answers = {BlockId("0"): NativeId("n0"), BlockId("1"): Refused(Refusal.UNKNOWN, "no answer")}
    answers[BlockId("2")] = Refused(Refusal.FAILED, "no")
    provider = Provider(tmp_path, answers)
    calls = ProviderCalls(provider, part)
    calls.submit([request(block, tmp_path) for block in "012"])
    before = provider.seen.executors["htex"]
    assert before.unanswered == {"0", "1", "2"}
    assert before.blocks["1"].public_key == "key 1"
    assert before.started == STARTED
    after = read(tmp_path).executors["htex"]
    assert after.natives == {"0": "n0"}
    assert after.unanswered == {"1"}
    assert after.next_block == 3
    calls.find(RunId("run"), "htex")
    assert read(tmp_path).executors["htex"].natives == {"0": "n0", "1": "late"}
    calls.cancel([NativeId("n0"), NativeId("late")])
    left = read(tmp_path).executors["htex"].blocks
    assert {block: entry.message for block, entry in left.items()} == {"1": "still there"}


@pytest.mark.parametrize(
    ("error", "unanswered"),
    [(ProviderBusyError("full"), set()), (BlockError("timeout"), {"0"})],
    ids=["busy", "silent"],
)
def test_a_submission_without_an_answer_stays_in_the_ledger_and_a_refused_one_does_not(
    part, tmp_path, error, unanswered
):
    with pytest.raises(type(error)):
        ProviderCalls(Provider(tmp_path, error), part).submit([request("0", tmp_path)])
    assert read(tmp_path).executors["htex"].unanswered == unanswered


def test_the_file_is_private_and_goes_with_its_last_block(ledger, part, tmp_path, caplog):
    part.on_submit([request("0", tmp_path)])
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    part.on_answers({BlockId("0"): NativeId("n0")})
    part.on_cancelled([NativeId("n0")], {})
    part.close()
    assert not (tmp_path / FILE).exists()
    assert caplog.text == ""


def test_blocks_whose_end_was_not_confirmed_stay_in_the_file_and_are_named(ledger, part, tmp_path, caplog):
    other = ExecutorLedger(ledger, ExecutorStarted(label="other"), is_durable=False)
    part.on_submit([request("0", tmp_path), request("1", tmp_path)])
    part.on_answers({BlockId("0"): NativeId("n0")})
    part.on_cancelled([NativeId("n0")], {NativeId("n0"): "busy"})
    part.close()
    assert caplog.text == ""  # the other executor may still end them
    other.close()
    assert f"blocks that may run on: n0, cnflow-run-htex-1. Their ids are in {tmp_path / FILE}" in caplog.text
    assert read(tmp_path).executors["htex"].blocks["0"].message == "busy"
    opened = open_ledger(tmp_path)  # nobody holds it
    RunLedger(tmp_path, DRIVER, opened).close()


def test_a_line_that_was_not_finished_is_cut_off_before_the_next_is_written(part, ledger, tmp_path):
    part.on_submit([request("0", tmp_path)])
    ledger.close()
    with (tmp_path / FILE).open("ab") as file:
        file.write(encode(BlocksAccepted("htex", {BlockId("0"): NativeId("n0")}))[:-5])
    opened = open_ledger(tmp_path)
    assert opened.state.executors["htex"].unanswered == {"0"}
    second = RunLedger(tmp_path, new_driver(RunId("run"), 1, "0.2", 14), opened)
    ExecutorLedger(second, STARTED, is_durable=False).on_submit([request("1", tmp_path)])
    state = read(tmp_path)
    assert state.driver.generation == 1
    assert state.executors["htex"].unanswered == {"0", "1"}
    assert second.adopted.executors["htex"].unanswered == {"0"}
    second.close()


RECORDS = st.lists(
    st.one_of(
        st.builds(BlocksNamed, st.just("htex"), st.dictionaries(st.sampled_from("0123"), st.just("key"))),
        st.builds(BlocksAccepted, st.just("htex"), st.dictionaries(st.sampled_from("0123"), st.text("ab", min_size=1))),
        st.builds(BlocksEnded, st.just("htex"), st.lists(st.sampled_from("0123"))),
        st.builds(BlocksLeft, st.just("htex"), st.dictionaries(st.text("ab", min_size=1), st.text())),
    )
)


@given(RECORDS, st.data())
def test_a_ledger_that_is_cut_anywhere_holds_the_whole_records_before_the_cut(records, data):
    lines = [encode(record) for record in [DRIVER, STARTED, *records]]
    content = b"".join(lines)
    cut = data.draw(st.integers(0, len(content)))
    read_records, whole = decode_lines(content[:cut])
    assert read_records == [DRIVER, STARTED, *records][: len(read_records)]
    assert content[:whole] == b"".join(lines[: len(read_records)])
    assert cut - whole < max(map(len, lines))


def test_the_ledger_of_a_living_driver_cannot_be_opened_even_after_it_forked_and_closed(part, ledger, tmp_path):
    part.on_submit([request("0", tmp_path)])
    with pytest.raises(ConfigurationError, match=rf"lives: this process, {os.getpid()}\. End it first"):
        open_ledger(tmp_path)
    code = "import sys; from pathlib import Path; from cnflow.ledger import open_ledger; open_ledger(Path(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False)
    assert f"lives: process {os.getpid()} on " in done.stderr


def test_the_ledger_of_a_killed_driver_is_free_although_a_child_of_it_lives(tmp_path):
    code = """
import os, sys, time
from pathlib import Path
from cnflow.ids import RunId
from cnflow.ledger import ExecutorLedger, ExecutorStarted, RunLedger, new_driver
from cnflow.ledger.records import BlocksNamed
ledger = RunLedger(Path(sys.argv[1]), new_driver(RunId("run"), 0, "0.2", 14))
ledger.append(ExecutorStarted(label="htex"), BlocksNamed("htex", {"0": ""}))
child = os.fork()
if child == 0:
    time.sleep(60)
print(child, flush=True)
time.sleep(60)
"""
    driver = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True)
    child = int(driver.stdout.readline())
    try:
        with pytest.raises(ConfigurationError, match=f"lives: process {driver.pid} on"):
            open_ledger(tmp_path)
        driver.kill()
        driver.wait()
        opened = open_ledger(tmp_path)
        assert opened.state.executors["htex"].unanswered == {"0"}
        RunLedger(tmp_path, DRIVER, opened).close()
    finally:
        driver.kill()
        os.kill(child, signal.SIGKILL)
        driver.stdout.close()


def test_a_full_disk_delays_records_and_loses_none(part, ledger, tmp_path, monkeypatch, caplog):
    part.on_submit([request("0", tmp_path)])
    real, space = os.write, [7]

    def write(descriptor, data):
        if not space[0]:
            raise OSError(28, "No space left on device")
        written = real(descriptor, data[: space[0]])
        space[0] -= written
        return written

    monkeypatch.setattr(os, "write", write)
    part.on_answers({BlockId("0"): NativeId("n0")})
    assert "No space left on device" in caplog.text
    assert read(tmp_path).executors["htex"].unanswered == {"0"}
    monkeypatch.undo()
    part.on_submit([request("1", tmp_path)])
    assert read(tmp_path).executors["htex"].natives == {"0": "n0"}
    assert read(tmp_path).executors["htex"].unanswered == {"1"}


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda folder: folder.rmdir(), "There is no run in"),
        (lambda folder: None, "left nothing to take over: it has no file 'ledger'"),
        (lambda folder: (folder / FILE).write_text("nonsense\n"), "no ledger of this version of cnflow"),
        (lambda folder: (folder / FILE).write_text(""), "names no driver"),
    ],
    ids=["no folder", "no ledger", "nonsense", "empty"],
)
def test_a_folder_that_cannot_be_adopted_is_refused_with_the_reason(tmp_path, prepare, words):
    folder = tmp_path / "007"
    folder.mkdir()
    prepare(folder)
    with pytest.raises(ConfigurationError, match=words):
        open_ledger(folder)


def test_a_ledger_of_thousands_of_blocks_is_small_and_read_at_once(ledger, part, tmp_path):
    for first in range(0, 5000, 20):
        batch = [request(str(number), tmp_path) for number in range(first, first + 20)]
        part._is_durable = False
        part.on_submit(batch)
        part.on_answers({block.block: NativeId(f"{first}_{block.block}.queue") for block in batch})
    assert (tmp_path / FILE).stat().st_size < 5000 * 80
    ledger.close()
    start = time.process_time()
    opened = open_ledger(tmp_path)
    assert time.process_time() - start < 1.0
    assert len(opened.state.executors["htex"].natives) == 5000
    RunLedger(tmp_path, DRIVER, opened).close()
