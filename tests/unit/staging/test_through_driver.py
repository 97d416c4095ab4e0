"""Files that threads of the driver move: shared copies, errors, and what is left."""

import threading
from concurrent.futures import Future
from pathlib import Path

import pytest

from cnflow import File
from cnflow.errors import StagingError
from cnflow.staging import through_driver
from cnflow.staging.through_driver import MOST, DriverTransfers

TIMEOUT = 10


class Here:
    """Executor whose tasks see all files."""

    image = None
    visible_files = None


class Run:
    """A run's data manager and the run itself."""

    def __init__(self, folder):
        self.dfk = self
        self.run_dir = folder
        self.executors = {"here": Here()}
        self.transfers = DriverTransfers()

    def service(self, _key, _make):
        return self.transfers


class Mover:
    """Moves files to and from a dict."""

    def __init__(self, **stored):
        self.stored = stored
        self.brought = []

    def bring(self, file):
        self.brought.append(file.url)
        if file.filename not in self.stored:
            raise StagingError(f"there is no {file.filename}")
        Path(file.filepath).write_text(self.stored[file.filename])

    def send(self, file):
        self.stored[file.filename] = Path(file.filepath).read_text()


@pytest.fixture
def run(tmp_path):
    made = Run(tmp_path)
    yield made
    made.transfers.close()


def fetch(run, mover, name="x", parent=None):
    return through_driver.fetch(run, "here", File(f"s3://b/{name}"), name, parent, mover)


def test_copy_serves_other_tasks_and_ends_with_the_last_file(run):
    mover = Mover(x="text")
    files = [fetch(run, mover).result(TIMEOUT) for _ in range(5)]
    assert {Path(file.filepath).read_text() for file in files} == {"text"}
    assert mover.brought == ["s3://b/x"]
    path = Path(files[0].filepath)
    run.transfers.forget("s3://b/x")
    del files
    assert not path.exists()


def test_copy_of_another_mover_or_content_is_another_one(run):
    movers = [Mover(x="one"), Mover(x="two")]
    assert [Path(fetch(run, mover).result(TIMEOUT).filepath).read_text() for mover in movers] == ["one", "two"]
    url, digest = "s3://b/x", "0" * 64
    through_driver.fetch(run, "here", File(url, sha256=digest), "x", None, movers[1]).result(TIMEOUT)
    assert movers[1].brought == [url, url]


def test_copies_that_are_old_are_dropped_and_no_other_ones_looked_at(run, monkeypatch):
    looks = []
    is_of_use = through_driver._is_of_use
    monkeypatch.setattr(through_driver, "_is_of_use", lambda *args: looks.append(args) or is_of_use(*args))
    mover = Mover(**{f"x{number}": "text" for number in range(100)})
    for number in range(100):
        fetch(run, mover, f"x{number}").result(TIMEOUT)
    assert len(looks) <= 200
    monkeypatch.setattr(through_driver, "_FRESH", 0.0)
    fetch(run, mover, "x0").result(TIMEOUT)
    assert len(run.transfers._copies) == 1


def test_copy_that_is_old_is_fetched_anew(run, monkeypatch):
    mover = Mover(x="text")
    fetch(run, mover).result(TIMEOUT)
    monkeypatch.setattr(through_driver, "_FRESH", 0.0)
    fetch(run, mover).result(TIMEOUT)
    assert len(mover.brought) == 2


def test_failure_is_that_of_every_task_and_is_not_kept(run):
    mover = Mover()
    first = fetch(run, mover).exception(TIMEOUT)
    assert isinstance(first, StagingError)
    assert (first.step, first.url) == ("stage in", "s3://b/x")
    assert list((run.run_dir / "staged").rglob("*")) == []
    mover.stored["x"] = "now there"
    assert Path(fetch(run, mover).result(TIMEOUT).filepath).read_text() == "now there"


def test_file_of_a_task_is_fetched_after_it_and_anew(run):
    mover, parent = Mover(x="old"), Future()
    before = fetch(run, mover).result(TIMEOUT)
    after = fetch(run, mover, parent=parent)
    mover.stored["x"] = "new"
    parent.set_result(None)
    assert Path(after.result(TIMEOUT).filepath).read_text() == "new"
    assert Path(before.filepath).read_text() == "old"


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_file_of_a_failed_task_is_not_fetched(run, is_cancelled):
    mover, parent = Mover(x="old"), Future()
    after = fetch(run, mover, parent=parent)
    if is_cancelled:
        parent.cancel()
        assert "was cancelled" in str(after.exception(TIMEOUT))
    else:
        parent.set_exception(ValueError("no rows"))
        assert isinstance(after.exception(TIMEOUT), ValueError)
    assert mover.brought == []


def test_output_is_sent_after_its_task_and_its_copy_removed(run):
    mover, task, file = Mover(), Future(), File("s3://b/y")
    sent = through_driver.send(run, file, "y", task, mover)
    path = Path(file.local_path)
    path.parent.mkdir(parents=True)
    path.write_text("made")
    assert not sent.done()
    task.set_result(None)
    assert sent.result(TIMEOUT) is None
    assert mover.stored == {"y": "made"}
    assert not path.exists()


def test_output_that_is_cancelled_before_its_task_is_done_is_not_sent(run, caplog):
    mover, task = Mover(), Future()
    sent = through_driver.send(run, File("s3://b/y"), "y", task, mover)
    assert sent.cancel()
    task.set_result(None)
    assert mover.stored == {}
    assert caplog.text == ""


def test_no_more_files_are_moved_at_once_than_allowed_and_the_rest_fails_at_the_end(run):
    gate, running = threading.Event(), threading.Semaphore(0)

    def wait():
        running.release()
        gate.wait(TIMEOUT)

    futures = [run.transfers.submit(wait) for _ in range(MOST + 3)]
    for _ in range(MOST):
        assert running.acquire(timeout=TIMEOUT)
    assert not running.acquire(blocking=False)
    run.transfers.close()
    for future in futures:
        assert "run has ended" in str(future.exception(TIMEOUT))
    gate.set()
    assert "run has ended" in str(run.transfers.submit(wait).exception(TIMEOUT))
