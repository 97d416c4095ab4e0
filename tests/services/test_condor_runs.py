"""Whole runs in a real HTCondor pool that shares no file with the driver: results, evictions, jobs not started."""

import subprocess
import time
import uuid

import pytest

import cnflow
from cnflow import Config, File, bash_app, python_app
from cnflow.config import CondorProvider, HighThroughputExecutor
from cnflow.errors import BlockError, BlockRejectedError
from tests.services.docker_channel import ContainerChannel

pytestmark = [pytest.mark.htcondor, pytest.mark.timeout(300)]

CONTAINER = "cnflow-htcondor"
POOL = ContainerChannel(container=CONTAINER, user="user", folder="/home/user")


def in_pool(*argv):
    done = subprocess.run(
        ["docker", "exec", "-u", "user", CONTAINER, *argv], capture_output=True, check=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def project():
    """Name in the jobs of the test, by which they are listed."""
    return f"test-{uuid.uuid4().hex}"


@pytest.fixture
def jobs(project):
    """Lists the test's jobs that are in the queue."""
    return lambda: in_pool("condor_q", "-constraint", f'ProjectName == "{project}"', "-af:j", "JobStatus").splitlines()


@pytest.fixture
def config(tmp_path, project):
    def make(retries=0, image=None, interchange="auto", **options):
        given = {"channel": POOL, "site_dir": "~/runs", "walltime": 600, "notice": 3, "poll_period": 1, **options}
        provider = CondorProvider(project=project, **{"runtime": "none", **given})
        shared = {"image": image, "interchange": interchange, "heartbeat_period": 0.5, "heartbeat_threshold": 10}
        executor = HighThroughputExecutor(label="pool", provider=provider, max_workers=1, **shared)
        return Config(executors=[executor], run_dir=str(tmp_path / "runinfo"), retries=retries)

    return make


@python_app
def slot():
    import os
    import socket

    return os.environ["_CONDOR_SLOT"], os.environ["_CONDOR_SCRATCH_DIR"], socket.gethostname()


@python_app
def system():
    import os
    from pathlib import Path

    return Path("/etc/os-release").read_text(), os.environ["_CONDOR_SLOT"]


@python_app
def word_of(name):
    from pathlib import Path

    return Path(name).read_text()


@python_app
def nap_until_there(path):
    """Return the job that ran this, at once if the file is there."""
    import os
    import time
    from pathlib import Path

    Path(f"{path}.{os.getpid()}").touch()
    while not Path(path).exists():
        time.sleep(0.1)
    return os.environ["_CONDOR_SCRATCH_DIR"]


def test_tasks_run_in_slots_to_which_everything_was_brought(config, jobs):
    with cnflow.load(config(init_blocks=2, max_blocks=2)):
        found, folder, host = slot().result()
    assert found.startswith("slot")
    assert folder.startswith("/var/lib/condor/execute/")
    assert host == "htcondor"
    assert jobs() == []


@pytest.mark.long
def test_files_of_the_user_are_brought_too(config):
    name = f"word-{uuid.uuid4().hex}"
    in_pool("sh", "-c", f"echo from afar >~/{name}")
    with cnflow.load(config(transfer_input_files=[f"/home/user/{name}"])):
        assert word_of(name).result().strip() == "from afar"
    in_pool("sh", "-c", f"rm ~/{name}")


def test_files_of_the_driver_travel_over_the_connection_of_the_tasks(config, tmp_path):
    @bash_app
    def shout(inputs=(), stdout=None):
        return f"tr a-z A-Z <{inputs[0]}"

    (tmp_path / "words").write_text("loud\n")
    with cnflow.load(config()):
        assert shout(inputs=[File(tmp_path / "words")], stdout=str(tmp_path / "out")).result() == 0
        assert (tmp_path / "out").read_text() == "LOUD\n"


@pytest.mark.long
def test_image_of_the_driver_is_brought_to_slots_that_have_none(config, image_base, jobs):
    with cnflow.load(config(image=image_base, runtime="charliecloud", cmd_timeout=240)):
        release, slot = system().result()
    assert "bookworm" in release  # the pool's machine is a trixie
    assert slot.startswith("slot")
    assert jobs() == []


def test_interchange_runs_on_the_submit_machine(config, jobs):
    commands = 'for each in /proc/[0-9]*; do tr "\\0" " " <$each/cmdline; echo; done 2>/dev/null | grep interchange'
    with cnflow.load(config(interchange="site")):
        assert slot().result()[0].startswith("slot")
        assert "cnflow/interchange" in in_pool("sh", "-c", commands)
    assert jobs() == []


def test_task_of_an_evicted_job_runs_elsewhere_and_uses_no_retry(config, jobs, until):
    mark = f"/home/user/mark-{uuid.uuid4().hex}"  # a job has a /tmp of its own
    with cnflow.load(config(retries=0)):
        waiting = nap_until_there(mark)
        until(lambda: in_pool("sh", "-c", f"ls {mark}.* 2>/dev/null || true"), timeout=90)
        first = jobs()[0].split()[0]
        in_pool("condor_vacate_job", "-fast", first)
        until(lambda: len(in_pool("sh", "-c", f"ls {mark}.* 2>/dev/null || true").splitlines()) > 1, timeout=150)
        in_pool("touch", mark)
        assert waiting.result(timeout=60).startswith("/var/lib/condor/execute/")
        assert first not in {line.split()[0] for line in jobs() if line.split()[1] == "2"}
    in_pool("sh", "-c", f"rm {mark}*")
    assert jobs() == []


def test_job_whose_files_are_missing_is_told_and_removed(config, jobs, until):
    with (
        pytest.raises(BlockError, match="no-such-file"),
        cnflow.load(config(transfer_input_files=["/home/user/no-such-file"])),
    ):
        slot().result(timeout=240)
    until(lambda: jobs() == [], timeout=60)


def test_wrong_expression_is_refused_with_the_next_step(config, jobs):
    with (
        pytest.raises(BlockRejectedError, match=r"Parse error(.|\n)*Correct requirements="),
        cnflow.load(config(requirements="((")),
    ):
        slot().result(timeout=120)
    assert jobs() == []


def test_pool_without_such_a_machine_gives_its_reason(config, until):
    with cnflow.load(config(requirements="HAS_UNICORN == True")) as dfk:
        waiting = slot()
        until(lambda: "no match found" in dfk.explain(waiting.tid), timeout=90)
        waiting.cancel()


@pytest.mark.long
def test_job_ends_with_its_walltime(config, jobs, until):
    with cnflow.load(config(walltime=20)):
        slot().result(timeout=120)
        until(lambda: jobs() == [], timeout=90)
        time.sleep(1)
        assert slot().result(timeout=120)[0]
