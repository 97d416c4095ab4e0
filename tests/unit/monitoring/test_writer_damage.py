"""What a damaged journal costs: nothing before the damage, and nothing without a word."""

import logging
import os
import sqlite3

import pytest

from cnflow.model import events as ev
from cnflow.monitoring.store.journal import Journal, encode
from cnflow.monitoring.store.order import Order
from cnflow.monitoring.store.writer import _write_all

T = 1_800_000_000.0


class Scene:
    """Journal of a run with three tasks, a frame each, whose driver is gone."""

    def __init__(self, folder):
        self.folder = folder / "000"
        self.folder.mkdir()
        self.path = self.folder / "monitoring.journal"
        self._database = folder / "monitoring.db"
        journal = Journal(self.path, "run")
        journal.append(encode([ev.RunEvent(time=T, run="run", state="running", name="scene")]))
        self.ends = [self.path.stat().st_size]
        """Of the frames."""

        for n in range(3):
            journal.append(encode([ev.SubmittedEvent(time=T + n, task=n, app="f", executor="e")]))
            self.ends.append(self.path.stat().st_size)
        journal.close()

    def write(self):
        order = Order(url=f"sqlite:///{self._database}", driver=0, started="gone", is_urgent=True)
        return _write_all(self.folder, order)

    def tasks(self):
        connection = sqlite3.connect(self._database)
        try:
            return [task for (task,) in connection.execute("SELECT task_id FROM task ORDER BY task_id")]
        finally:
            connection.close()


@pytest.fixture
def scene(tmp_path, caplog):
    caplog.set_level(logging.WARNING, logger="cnflow.monitoring.store.writer")
    return Scene(tmp_path)


def test_frames_before_a_damaged_one_are_written_and_the_journal_stays(scene, caplog):
    with scene.path.open("rb+") as file:
        file.seek(scene.ends[1] + 12)
        file.write(b"\xff\xff\xff")
    assert not scene.write()
    assert scene.tasks() == [0]
    assert scene.path.exists()
    assert "the rest of a journal is left in it" in caplog.text


def test_frame_that_is_cut_short_is_lost_with_a_word(scene, caplog):
    os.truncate(scene.path, scene.ends[-1] - 3)
    assert scene.write()
    assert scene.tasks() == [0, 1]
    assert not scene.path.exists()
    rest = scene.ends[-1] - 3 - scene.ends[-2]
    assert f"the last {rest} bytes of the journal are no whole frame" in caplog.text


def test_whole_journal_is_written_without_a_word(scene, caplog):
    assert scene.write()
    assert scene.tasks() == [0, 1, 2]
    assert caplog.text == ""
