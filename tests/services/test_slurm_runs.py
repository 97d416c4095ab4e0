"""Runs whose blocks are jobs of real Slurm: arrays, several nodes, bad input, preemption, a driver that is killed."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

import cnflow
from cnflow import python_app
from cnflow.config import Config, HighThroughputExecutor
from cnflow.errors import CnflowError
from cnflow.ids import NativeId
from cnflow.model.block import BlockState
from cnflow.providers import SlurmProvider
from cnflow.providers.batch.provider import BatchBackend
from tests.conftest import slurm_conf

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def _site(request, monkeypatch):
    name = "slurm_accounting" if request.node.get_closest_marker("slurm_accounting") else "slurm"
    monkeypatch.setenv("SLURM_CONF", str(slurm_conf(name)))


@pytest.fixture
def name():
    """Label of the executor, by which its jobs are known."""
    return f"x{uuid.uuid4().hex[:8]}"


@pytest.fixture
def run(tmp_path, name):
    """Makes the Config of a run with one executor: ``run(executor={...}, **options of the provider)``."""

    def make(*, executor=None, config=None, **options):
        defaults = {"site_dir": str(tmp_path / "site"), "exclusive": False, "poll_period": 1, "walltime": 900}
        provider = SlurmProvider(**{**defaults, **options})
        htex = HighThroughputExecutor(label=name, max_workers=1, provider=provider, **(executor or {}))
        return Config(executors=[htex], run_dir=str(tmp_path / "runinfo"), **(config or {}))

    return make


def jobs(name, states="PENDING,RUNNING,COMPLETING,CONFIGURING"):
    """Lines of the queue about jobs of executor *name*: id, state, nodes, name."""
    asked = ["squeue", "--noheader", "--array", f"--states={states}", "--format=%i|%T|%D|%j"]
    listed = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()
    return [line for line in listed if f"-{name}-" in line]


@python_app
def node():
    import os

    return os.environ["SLURMD_NODENAME"], os.environ["SLURM_JOB_ID"]


@python_app
def slow_node(folder):
    import os
    import time
    from pathlib import Path

    is_first = not list(Path(folder).glob("begun*"))
    (Path(folder) / f"begun-{os.environ['SLURM_JOB_ID']}").touch()
    time.sleep(60 if is_first else 0)
    return os.environ["SLURM_JOB_ID"]


def test_blocks_that_start_together_are_one_array_and_end_with_the_run(run, name):
    with cnflow.load(run(init_blocks=4, max_blocks=4)):
        assert node().result()[0].startswith("n")
        listed = jobs(name, "all")
        assert len(listed) == 4
        assert len({line.partition("_")[0] for line in listed}) == 1
    assert jobs(name) == []


def test_each_node_of_a_block_has_a_manager(run, name, until):
    with cnflow.load(run(nodes_per_block=2)) as dfk:
        until(lambda: dfk.executors[name].connected_workers == 2, timeout=60.0)
        assert {future.result()[0] for future in [node() for _ in range(20)]} <= {"n1", "n2", "n3", "n4"}
        assert jobs(name)[0].split("|")[2] == "2"


BAD = {
    "partition": ({"partition": "nope"}, "sinfo"),
    "constraint": ({"constraint": "nope"}, "constraint"),
    "gres": ({"gres": "nope:1"}, "gres"),
    "a node that is too small": ({"mem_per_node": "900g"}, "mem_per_node"),
    "more nodes than there are": ({"nodes_per_block": 40}, "nodes_per_block"),
    "walltime above the limit": ({"partition": "short", "walltime": "05:00:00"}, "walltime"),
    "a line that is no option": ({"scheduler_options": "#SBATCH --nope=1"}, "scheduler_options"),
    "a rule of the site": ({"scheduler_options": "#SBATCH --comment=forbidden"}, "wants jobs to name a project"),
    "a module system that is not there": ({"worker_init": "module load gcc/13"}, "worker_init"),
    "a command that is not there": ({"worker_init": "echo begins\nno-such-command --x"}, "no-such-command"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told_with_what_to_do_and_leaves_no_job(run, name, case):
    options, words = BAD[case]
    with cnflow.load(run(**options)):
        error = node().exception(timeout=200)
    assert isinstance(error, CnflowError)
    assert words in str(error)
    assert jobs(name) == []


@pytest.mark.slurm_accounting
@pytest.mark.parametrize("option", ["account", "qos"])
def test_an_unknown_account_or_qos_is_told_with_what_to_do(run, name, option):
    with cnflow.load(run(**{option: "nope"})):
        error = node().exception(timeout=200)
    assert f"SlurmProvider({option}=...)" in str(error)
    assert jobs(name) == []


def test_a_machine_without_slurm_is_told_where_to_run(run, monkeypatch, tmp_path):
    (tmp_path / "bin").mkdir()
    for program in Path("/bin").iterdir():
        if program.name not in {"sbatch", "squeue", "scancel", "scontrol"}:
            (tmp_path / "bin" / program.name).symlink_to(program)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with cnflow.load(run()):
        error = node().exception(timeout=60)
    assert "SSHChannel" in str(error)


def test_a_preempted_task_runs_elsewhere_and_uses_no_retry(run, name, tmp_path, until):
    config = run(partition="scavenge", config={"retries": 0}, mem_per_node="1g", executor={"grace_period": 1})
    with cnflow.load(config):
        future = slow_node(str(tmp_path))
        until(lambda: list(tmp_path.glob("begun-*")), timeout=100.0)
        urgent = ["sbatch", "--parsable", "-p", "urgent", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 3"]
        subprocess.run(urgent, check=True, capture_output=True)
        first = next(iter(tmp_path.glob("begun-*"))).name
        assert f"begun-{future.result(timeout=200)}" != first
    assert jobs(name) == []


def test_explain_shows_why_a_job_waits(run, name, until):
    with cnflow.load(run(partition="closed")) as dfk:
        waiting = node()
        try:
            until(lambda: "its partition is closed" in dfk.explain(waiting.tid), timeout=60.0)
        finally:
            waiting.cancel()
    assert jobs(name) == []


SCRIPT = """
import time, cnflow
from cnflow import python_app
from cnflow.config import Config, HighThroughputExecutor
from cnflow.providers import SlurmProvider
provider = SlurmProvider(site_dir={site!r}, exclusive=False, init_blocks=2, max_blocks=2, walltime=900)
config = Config(executors=[HighThroughputExecutor(label={name!r}, max_workers=1, provider=provider)], run_dir={runs!r})
if __name__ == "__main__":
    @python_app
    def one():
        return 1
    with cnflow.load(config):
        print(one().result(), flush=True)
        time.sleep(600)
"""


def killed_run(tmp_path, name):
    """Start a script of two blocks, and kill it once they work; return its file."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(site=str(tmp_path / "site"), name=name, runs=str(tmp_path / "runinfo")))
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, cwd=tmp_path) as driver:
        assert driver.stdout.readline() == b"1\n"
        os.kill(driver.pid, signal.SIGKILL)
    return script


def command(*arguments):
    """Run ``cnflow``; return its output."""
    done = subprocess.run(
        [Path(sys.executable).with_name("cnflow"), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_clean_ends_the_jobs_of_a_driver_that_was_killed(tmp_path, name):
    killed_run(tmp_path, name)
    command("clean", next((tmp_path / "runinfo").glob("0*")))
    assert jobs(name) == []


def test_jobs_of_a_run_whose_folder_is_gone_are_listed_by_the_scheduler(tmp_path, name):
    script = killed_run(tmp_path, name)
    listed = json.loads(command("blocks", "--all", "--json", "--config", script))["blocks"]
    mine = [each for each in listed if f"-{name}-" in each["name"]]
    if len(mine) < 2:  # a manager ends by itself some time after its driver
        assert len(jobs(name)) <= len(mine)
    for each in mine:
        subprocess.run(["scancel", each["native"]], check=True)
    deadline = time.monotonic() + 60
    while jobs(name):
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_an_end_without_a_reason_is_no_end(tmp_path):
    """A scheduler that does not answer within `cmd_timeout` has lost no job."""
    slow = tmp_path / "squeue"
    slow.write_text("#!/bin/sh\nsleep 30\n")
    slow.chmod(0o755)
    provider = BatchBackend(SlurmProvider(site_dir=str(tmp_path / "site"), cmd_timeout=1))
    path = os.environ["PATH"]
    os.environ["PATH"] = f"{tmp_path}:{path}"
    try:
        with pytest.raises(CnflowError, match="squeue did not end within 1 s"):
            provider.status([NativeId("1")])
    finally:
        os.environ["PATH"] = path
    assert provider.status([NativeId("999999")])[NativeId("999999")].state is BlockState.GONE
    assert not list(Path(tmp_path / "site").glob("runs/*"))


FOR_PARSL = """\
import parsl
from parsl import bash_app, python_app
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.launchers import SrunLauncher
from parsl.providers import SlurmProvider

provider = SlurmProvider(
    "debug",
    nodes_per_block=2,
    init_blocks=1,
    max_blocks=1,
    walltime="00:10:00",
    worker_init="export GREETING=hello",
    launcher=SrunLauncher(),
    exclusive=False,
)
parsl.load(Config(executors=[HighThroughputExecutor(label="htex", max_workers=1, provider=provider)]))


@python_app
def greet():
    import os

    return os.environ["GREETING"], os.environ["SLURMD_NODENAME"]


print(*greet().result())
"""


def test_a_script_written_for_parsl_runs_on_two_nodes(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "for_parsl.py").write_text(FOR_PARSL)
    program = Path(sys.executable).with_name("cnflow")
    arguments = [program, "run", "--parsl", "for_parsl.py"]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=tmp_path, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("hello n")
