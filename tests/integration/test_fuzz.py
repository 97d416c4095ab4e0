"""Fuzzing in short: ``tests/fuzzing/run.py`` with 6,000 malformed messages."""

import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parents[1] / "fuzzing" / "run.py"


@pytest.mark.timeout(240)
def test_interchange_and_manager_survive_malformed_messages():
    done = subprocess.run([sys.executable, RUN, "6000"], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("malformed messages in all") == 6
