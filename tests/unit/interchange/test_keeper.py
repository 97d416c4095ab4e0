"""First process of an interchange's pod."""

import signal
import subprocess
import sys
from pathlib import Path

from cnflow.interchange import keeper


def test_keeper_ends_when_nothing_runs_beside_it(monkeypatch, capfd):
    monkeypatch.setattr(keeper, "_LOOK_PERIOD", 0.01)
    monkeypatch.setattr(keeper, "_has_neighbours", lambda: False)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert keeper.keep(0.05) == 0
    assert "no interchange has run here" in capfd.readouterr().err


def test_keeper_ends_at_once_by_sigterm():
    process = subprocess.Popen(
        [sys.executable, "-I", str(Path(keeper.__file__)), "100"], stderr=subprocess.PIPE, text=True
    )
    with process:
        assert "waits for an interchange" in process.stderr.readline()
        process.terminate()
        assert process.wait(10) == 128 + signal.SIGTERM
