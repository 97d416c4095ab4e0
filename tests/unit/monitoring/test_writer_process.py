"""The process that writes the database is started again, however it ended; a driver that cannot start one goes on."""

import subprocess

import pytest

from cnflow.config import MonitoringHub
from cnflow.model.events import RunEvent
from cnflow.monitoring.sinks.database import DatabaseSink


@pytest.fixture
def sink(tmp_path):
    folder = tmp_path / "000"
    folder.mkdir()
    made = DatabaseSink(MonitoringHub(writer_timeout=0), folder)
    yield made
    made._journal.close()


def test_driver_that_can_start_no_process_keeps_its_journal(sink, monkeypatch, caplog):
    def refuse(*_args, **_options):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    for n in range(3):
        sink.write([RunEvent(time=float(n), run="r", state="running")])
    assert caplog.text.count("cannot be started now") == 1  # the next try is later
    sink.writer.wait(0.0)
    assert not sink.writer.is_alive()
    assert (sink._run_dir / "monitoring.journal").stat().st_size > 200


def test_writer_that_is_done_is_not_started_again(sink, monkeypatch):
    started = []

    class Done:
        returncode = 0
        poll = wait = lambda _: 0
        kill = lambda _: None  # noqa: E731

    def start():
        started.append(1)
        sink.writer._process = Done()

    monkeypatch.setattr(sink.writer, "_start", start)
    sink.write([RunEvent(time=1.0, run="r", state="running")])
    sink.writer._hurry()
    sink.writer.keep_alive()
    assert started == [1]
