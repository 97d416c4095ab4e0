"""Jobs of a scheduler whose driver is killed, taken over by the next one."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.standins import pbspro
from tests.standins.scheduler import ENDED, Standin

pytestmark = pytest.mark.timeout(300)

SCRIPT = """\
import sys
import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import PBSProProvider

folder, *rest = sys.argv[1:]

@python_app
def work(number, seconds):
    import os, time
    with open(f"{folder}/began", "a") as file:
        file.write(f"{number} {os.environ['PBS_JOBID']}\\n")
    time.sleep(seconds)
    with open(f"{folder}/ended", "a") as file:
        file.write(f"{number}\\n")
    return number * number

provider = PBSProProvider(site_dir=f"{folder}/site", poll_period=1, walltime=900, init_blocks=2, max_blocks=2)
executor = HighThroughputExecutor(
    provider=provider, max_workers=1, prefetch=0, heartbeat_period=0.5, heartbeat_threshold=4
)
config = Config(executors=[executor], adoptable_for=60, run_dir=f"{folder}/runinfo")
with cnflow.load(config, adopt=rest[0] if rest else None):
    futures = [work(number, 6.0) for number in range(4)]
    assert [future.result() for future in futures] == [number * number for number in range(4)]
print("all", flush=True)
"""


@pytest.fixture(autouse=True)
def standin(monkeypatch):
    """The stand-in, whose commands come first in PATH."""
    with tempfile.TemporaryDirectory(prefix="cnflow-pbs-") as folder:
        started = Standin(Path(folder) / "s", Path(pbspro.__file__), ["qsub", "qstat", "qdel", "qselect"])
        monkeypatch.setenv("PATH", str(started.bin), prepend=":")
        yield started
        started.close()


@pytest.fixture
def start(tmp_path):
    """Function that starts a driver, which is killed with the test."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    started = []

    def make(*adopt):
        command = [sys.executable, str(script), str(tmp_path), *adopt]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield make
    for process in started:
        process.kill()
        process.communicate()


def lines(file):
    return file.read_text().splitlines() if file.exists() else []


def test_jobs_and_their_tasks_are_taken_over_and_end_with_the_run(start, standin, tmp_path, until):
    began, ended = tmp_path / "began", tmp_path / "ended"
    first = start()
    until(lambda: len(lines(began)) == 2, timeout=100.0)
    first.kill()
    first.communicate()
    until(lambda: len(lines(ended)) == 2, timeout=60.0)
    second = start(str(tmp_path / "runinfo/000"))
    output, errors = second.communicate(timeout=120)
    assert output == "all\n", errors
    assert sorted(line.split()[0] for line in lines(began)) == list("0123"), "a task ran twice"
    assert len({line.split()[1] for line in lines(began)}) == 2, "jobs were started anew"
    until(lambda: all(job.state == ENDED for job in standin.jobs()), timeout=30.0)
    assert list((tmp_path / "site/runs").rglob("*.settings.*")) == [], "keys were left"
