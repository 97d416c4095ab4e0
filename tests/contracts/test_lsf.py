"""The contracts of providers and of dialects on LSF's stand-in, which really runs the jobs."""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from cnflow.config import LSFProvider
from cnflow.ids import NativeId
from cnflow.providers.batch.dialect import JobRequest
from cnflow.providers.batch.lsf import DIALECT
from cnflow.providers.batch.provider import BatchBackend
from cnflow.testing.contracts.batch import BatchContract
from cnflow.testing.contracts.provider import ProviderContract
from cnflow.testing.contracts.provider_data import ProviderDataContract
from tests.standins import lsf
from tests.standins.scheduler import Standin
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def standin(monkeypatch):
    """The stand-in, whose commands come first in PATH."""
    with tempfile.TemporaryDirectory(prefix="cnflow-lsf-") as folder:
        programs = ["bsub", "bjobs", "bkill", "bhist", "jsrun"]
        started = Standin(Path(folder) / "s", Path(lsf.__file__), programs, minute=3.0)
        monkeypatch.setenv("PATH", str(started.bin), prepend=":")
        yield started
        started.close()


@pytest.mark.long
class TestLSF(ProviderContract, ProviderDataContract):
    """A block is a job of one node."""

    refused_image = pytest.fixture(lambda _: "app1:0.1")
    unknown_block = pytest.fixture(lambda _: NativeId("999999"))
    submit_limit = pytest.fixture(lambda _: 20.0)

    @pytest.fixture
    def settings(self, tmp_path):
        return LSFProvider(site_dir=str(tmp_path / "site"), runtime="none", walltime=6000)

    @pytest.fixture
    def traits(self, settings):
        return settings.traits()

    @pytest.fixture
    def make_provider(self, settings):
        return lambda environment: BatchBackend(settings.model_copy(update={"environment": dict(environment)}))


SIGNALS = """\
import os, signal, sys
def note(number, _):
    os.write(1, signal.Signals(number).name.encode() + b"\\n")  # print fails if a handler interrupts it
    if number == signal.SIGTERM:
        sys.exit(3)
for number in (signal.SIGUSR1, signal.SIGTERM):
    signal.signal(number, note)
os.write(1, b"ready\\n")
while True:
    signal.pause()
"""


@contextlib.contextmanager
def group_of(*command):
    """A process in a group of its own, which is killed at the end, also by a test that fails."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def catches(pid, number):
    """Return whether the process has a handler for the signal."""
    (mask,) = re.findall(r"SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())
    return bool(int(mask, 16) >> (number - 1) & 1)


def test_limit_of_the_job_is_told_to_the_manager_twice(tmp_path):
    """LSF's SIGUSR2 to all processes becomes SIGUSR1 and then SIGTERM for the body, whose exit code is the job's."""
    body = f"exec {shlex.join([sys.executable, '-c', SIGNALS])}\n"
    script = tmp_path / "script"
    script.write_text(DIALECT.submit_script(LSFProvider(), JobRequest("n", 1, 600.0, body, "/o")))
    with group_of("sh", str(script)) as job:
        assert job.stdout.readline() == "ready\n"
        wait_until(lambda: catches(job.pid, signal.SIGUSR2))  # the body may be ready before its shell is
        os.killpg(job.pid, signal.SIGUSR2)
        assert job.stdout.readline() == "SIGUSR1\n"
        os.killpg(job.pid, signal.SIGUSR2)
        assert job.stdout.readline() == "SIGTERM\n"
        assert job.wait(60) == 3


class TestJobsOfLSF(BatchContract):
    """A minute of the stand-in is 3 s long."""

    held = pytest.fixture(lambda _: "#BSUB -H")
    unknown_job = pytest.fixture(lambda _: NativeId("999999"))

    @pytest.fixture
    def settings(self, tmp_path):
        return LSFProvider(site_dir=str(tmp_path / "site"), runtime="none")

    @pytest.fixture
    def scheduler_down(self, standin):
        @contextlib.contextmanager
        def down():
            standin.stop_answering()
            yield
            standin.answer_again()

        return down
