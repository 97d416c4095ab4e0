import contextlib
import os
import pickle
import sqlite3
import threading

import pytest

from cnflow.dataflow.memo import Checkpointer, CheckpointReader, CheckpointStore, Entry
from cnflow.dataflow.memo import store as store_module
from cnflow.dataflow.memo.checkpoint_paths import FILE, get_all_checkpoints, get_last_checkpoint
from cnflow.errors import BadCheckpoint
from cnflow.model.provenance import Origin, Place
from cnflow.units import seconds_of_period


def key(n):
    return n.to_bytes(32, "big")


def fill(path, numbers, value=b"value", time=1.0):
    store = CheckpointStore(path)
    store.append([Entry(key(n), value, "app", time) for n in numbers])
    store.close()
    return path


@pytest.fixture
def file(tmp_path):
    return fill(tmp_path / "000" / "checkpoint" / "tasks.sqlite", range(200), b"v" * 500)


@pytest.fixture
def load():
    loaded = []

    def load(*paths):
        loaded.append(CheckpointReader(paths))
        return loaded[-1]

    yield load
    for each in loaded:
        each.close()


def test_reader_takes_a_file_a_folder_or_a_run(file, load):
    for path in (file, file.parent, file.parent.parent, str(file)):
        found = load(path)
        assert len(found) == 200
        assert found.find(key(7)) == b"v" * 500
        assert found.find(key(200)) is None


def test_closed_checkpoint_is_one_plain_file(file):
    assert [path.name for path in file.parent.iterdir()] == ["tasks.sqlite"]


def test_latest_entry_counts_in_any_order_of_files(tmp_path, load):
    old = fill(tmp_path / "old", [1, 2], b"old", 1.0)
    new = fill(tmp_path / "new", [2, 3], b"new", 2.0)
    store = CheckpointStore(new)
    store.append([Entry(key(3), b"newer", "app", 3.0)])
    store.close()
    for paths in ((old, new), (new, old)):
        found = load(*paths)
        assert [found.find(key(n)) for n in (1, 2, 3)] == [b"old", b"new", b"newer"]


def test_reader_handles_more_files_than_it_keeps_open(tmp_path, load):
    found = load(*(fill(tmp_path / str(n), [n]) for n in range(30)))
    assert [found.find(key(n)) for n in range(30)] == [b"value"] * 30
    assert len(found._open) < 10


def test_checkpoint_is_read_while_it_is_written(tmp_path, load):
    store = CheckpointStore(tmp_path / "tasks.sqlite")
    store.append([Entry(key(1), b"one", "app", 1.0)])
    found = load(tmp_path)
    store.append([Entry(key(2), b"two", "app", 1.0)])
    assert (found.find(key(1)), found.find(key(2)), len(load(tmp_path))) == (b"one", None, 2)
    store.close()
    assert load(tmp_path).find(key(2)) == b"two"


def test_transaction_is_written_as_a_whole_or_not(tmp_path, load):
    store = CheckpointStore(tmp_path / "tasks.sqlite")
    with pytest.raises(sqlite3.Error):
        store.append([Entry(key(1), b"one", "app", 1.0), Entry(key(2), None, "app", 1.0)])
    store.append([Entry(key(3), b"three", "app", 1.0)])
    store.close()
    assert [load(tmp_path).find(key(n)) for n in (1, 2, 3)] == [None, None, b"three"]


def foreign_database(path):
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE entries (key, value)")
    connection.close()


def other_layout(path):
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


def without_its_table(path):
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE entries")
    connection.close()


def overwritten(path):
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(path.read_bytes()[:50]), "ends after 50 bytes"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "is torn"),
        (lambda path: path.write_bytes(path.read_bytes()[:8192]), "is torn: 8192 bytes of"),
        (lambda path: path.write_text("hello"), "is no database; it begins with b'hello'"),
        (lambda path: path.write_bytes(pickle.dumps({"hash": "x"})), "a pickle, perhaps of Parsl"),
        (overwritten, "is damaged"),
        (foreign_database, "is a database of another program"),
        (other_layout, "is layout 99, not 1"),
        (without_its_table, "is damaged: no such table"),
        (os.unlink, "there is no tasks.sqlite in it"),
    ],
)
def test_error_names_a_file_that_is_no_checkpoint_and_its_format(file, damage, found):
    damage(file)
    with pytest.raises(BadCheckpoint, match=rf"{file.parent}.* cannot be used as a checkpoint: .*{found}") as raised:
        CheckpointReader([file.parent])
    assert pickle.loads(pickle.dumps(raised.value)).args == raised.value.args


def test_every_truncation_is_refused(file):
    content = file.read_bytes()
    for size in range(0, len(content), 997):
        file.write_bytes(content[:size])
        with pytest.raises(BadCheckpoint):
            CheckpointReader([file])


def test_error_names_a_missing_checkpoint_and_one_of_parsl(tmp_path):
    with pytest.raises(BadCheckpoint, match="nowhere cannot be used as a checkpoint: it does not exist"):
        CheckpointReader([tmp_path / "nowhere"])
    (tmp_path / "tasks.pkl").write_bytes(b"")
    with pytest.raises(BadCheckpoint, match=r"tasks.pkl .* was written by Parsl, whose checkpoints are not read"):
        CheckpointReader([tmp_path])


def test_value_damaged_after_loading_is_logged_and_not_found(file, load, caplog):
    found = load(file)
    found._open.popitem()[1].close()
    overwritten(file)
    assert found.find(key(1)) is None
    assert "cannot be read, its task is run again" in caplog.text


def test_store_refuses_a_file_of_another_program(file):
    foreign_database(file)
    before = file.read_bytes()
    with pytest.raises(BadCheckpoint, match="cannot be written: it is a database of another"):
        CheckpointStore(file)
    assert file.read_bytes() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="Nothing is read-only for root. Run the tests as another user.")
def test_checkpoint_in_a_read_only_folder_is_read_if_it_was_closed(file, load):
    file.parent.chmod(0o500)
    assert load(file).find(key(7)) == b"v" * 500
    file.parent.chmod(0o700)


@pytest.fixture
def checkpointer(tmp_path):
    made = []

    def make(mode, **options):
        made.append(Checkpointer(tmp_path / "run", mode, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def number_written(load, tmp_path):
    return len(load(tmp_path / "run")) if (tmp_path / "run").exists() else 0


@pytest.mark.parametrize(
    ("mode", "at_once", "at_the_end"),
    [("task_exit", 1, 2), ("periodic", 0, 2), ("dfk_exit", 0, 2), ("manual", 0, 0), (None, 0, 0)],
)
def test_each_mode_writes_at_its_moment(checkpointer, load, tmp_path, mode, at_once, at_the_end):
    one = checkpointer(mode)
    one.record(key(1), b"one", "app")
    assert number_written(load, tmp_path) == at_once
    one.record(key(2), b"two", "app")
    one.close()
    assert number_written(load, tmp_path) == at_the_end


@pytest.mark.parametrize("mode", ["task_exit", "periodic", "dfk_exit", "manual", None])
def test_checkpoint_writes_in_every_mode(checkpointer, load, tmp_path, mode):
    one = checkpointer(mode, now=lambda: 5.0)
    assert one.checkpoint() == tmp_path / "run" / "checkpoint"
    assert number_written(load, tmp_path) == 0
    one.record_all([(key(n), b"value", "app") for n in range(3)])
    one.checkpoint()
    one.checkpoint()
    assert number_written(load, tmp_path) == 3


def test_checkpoint_folder_of_a_run_without_results_may_be_missing(tmp_path):
    run = tmp_path / "003"
    run.mkdir()
    assert len(CheckpointReader([run / "checkpoint"])) == 0
    for misspelt in (run / "chekpoint", tmp_path / "004" / "checkpoint"):
        with pytest.raises(BadCheckpoint, match="does not exist"):
            CheckpointReader([misspelt])


def test_run_without_results_makes_no_file(checkpointer, tmp_path):
    checkpointer("task_exit").close()
    assert list(tmp_path.iterdir()) == []


def test_periodic_mode_writes_in_a_thread_that_ends(checkpointer, load, tmp_path):
    wrote = threading.Event()
    one = checkpointer("periodic", period=0.01)
    write, one._write = one._write, lambda: (write(), wrote.set())
    one.record(key(1), b"one", "app")
    assert wrote.wait(10)
    assert number_written(load, tmp_path) == 1
    one.close()
    assert "cnflow-checkpoint" not in {thread.name for thread in threading.enumerate()}


def test_failed_write_is_logged_and_repeated(checkpointer, load, tmp_path, caplog):
    (tmp_path / "run").write_text("in the way")
    one = checkpointer("task_exit")
    one.record(key(1), b"one", "app")
    assert "1 results could not be written to" in caplog.text
    with pytest.raises(BadCheckpoint, match="cannot be written"):
        one.checkpoint()
    (tmp_path / "run").unlink()
    one.record(key(2), b"two", "app")
    assert number_written(load, tmp_path) == 2


def test_checkpoints_of_earlier_runs_are_listed_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert get_all_checkpoints() == get_last_checkpoint() == []
    for run, folder in (("1000", "checkpoint"), ("999", "checkpoints"), ("000", "checkpoint")):
        fill(tmp_path / "runinfo" / run / folder / "tasks.sqlite", [1])
    (tmp_path / "runinfo" / "1001").mkdir()
    expected = [tmp_path / "runinfo" / each for each in ("000/checkpoint", "999/checkpoints", "1000/checkpoint")]
    assert get_all_checkpoints() == get_all_checkpoints(tmp_path / "runinfo") == [str(path) for path in expected]
    assert get_last_checkpoint("runinfo") == [str(expected[-1])]


@pytest.mark.parametrize(("period", "seconds"), [("01:00:00", 3600), ("00:30:05", 1805), ("100:0:1", 360001), (2, 2)])
def test_period_is_hours_minutes_and_seconds_or_seconds(period, seconds):
    assert seconds_of_period(period) == seconds


@pytest.mark.parametrize("period", ["", "30", "00:00:00", "00:61:00", "a:b:c", 0, -1, float("nan"), float("inf")])
def test_malformed_period_is_refused(period):
    with pytest.raises(ValueError, match="HH:MM:SS"):
        seconds_of_period(period)


def test_an_entry_keeps_its_origin_and_places_are_written_once(tmp_path):
    place = Place("run7", "htex", "app1:0.1", host="n1", manager="ab")
    store = CheckpointStore(tmp_path / FILE)
    store.append([Entry(key(n), b"v", "app", 1.0, Origin(place, 10.0, 12.0, 2)) for n in range(3)])
    store.append([Entry(key(3), b"v", "app", 1.0), Entry(key(4), b"v", "app", 1.0, Origin(place, None, None, 1))])
    (places,) = store._connection.execute("SELECT count(*) FROM places").fetchone()
    store.close()
    reader = CheckpointReader([tmp_path])
    assert places == 1
    assert reader.origin_of(key(1)) == Origin(place, 10.0, 12.0, 2)
    assert reader.origin_of(key(4)) == Origin(place, None, None, 1)
    assert reader.origin_of(key(3)) is None
    assert reader.origin_of(key(9)) is None
    reader.close()


def test_a_checkpoint_without_origins_as_of_0_1_is_read_and_continued(tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as old:
        old.executescript(store_module._SCHEMA)
        old.execute("INSERT INTO entries VALUES (?, ?, ?, ?)", (key(1), b"old", "app", 1.0))
        old.commit()
    reader = CheckpointReader([tmp_path])
    assert reader.find(key(1)) == b"old"
    assert reader.origin_of(key(1)) is None
    reader.close()
    origin = Origin(Place("run8", "htex"), 1.0, 2.0, 1)
    store = CheckpointStore(tmp_path / FILE)
    store.append([Entry(key(2), b"new", "app", 2.0, origin)])
    store.close()
    reader = CheckpointReader([tmp_path])
    assert (reader.find(key(1)), reader.origin_of(key(2))) == (b"old", origin)
    reader.close()
