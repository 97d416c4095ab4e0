"""Nodes as they are: kernels without pidfd_open, low limits of open files, control groups, hundreds of workers."""

import errno
import json
import os
import platform
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import cnflow
from benchmarks.scale.simulation import Plan, Simulation
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor

PIDFD_OPEN = {"x86_64": 434, "aarch64": 434}
"""System call of the same number everywhere (syscalls(2))."""

SCRIPT = """\
import json, os, sys
import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor

@python_app
def where():
    import os
    return sorted(os.sched_getaffinity(0))

@python_app
def open_file_limit():
    import resource
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]

settings = json.loads(sys.argv[1])
with cnflow.load(Config(executors=[HighThroughputExecutor(**settings)], run_dir=sys.argv[2])) as dfk:
    cores = where().result(60)
    executor = dfk.executors["htex"]
    node = next(iter(executor._managers.managers().values())).node
    try:
        os.pidfd_open(os.getpid())
        pidfd = True
    except OSError:
        pidfd = False
    print(json.dumps({"cores": cores, "workers": executor.connected_workers, "node": node.cores,
                      "memory": node.memory, "pidfd": pidfd,
                      "files": sorted({open_file_limit().result(60) for _ in range(8)})}))
"""

LOWER_LIMIT = """\
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


@python_app
def one():
    return 1


@python_app
def open_file_limit():
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


@pytest.fixture
def load(tmp_path):
    def load(**settings):
        return cnflow.load(Config(executors=[HighThroughputExecutor(**settings)], run_dir=str(tmp_path)))

    return load


@pytest.fixture
def no_pidfd(monkeypatch):
    """The driver of a kernel before Linux 5.3."""

    def missing(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", missing)


@pytest.mark.usefixtures("no_pidfd")
def test_executor_works_where_the_kernel_has_no_pidfd(load):
    with load(max_workers=1):
        assert one().result(30) == 1


@pytest.mark.usefixtures("no_pidfd")
def test_death_of_the_interchange_is_seen_where_the_kernel_has_no_pidfd(load, processes):
    def interchanges():
        return [
            pid
            for pid in processes.children()
            if processes.is_running(pid) and "cnflow.interchange" in processes.command(pid)
        ]

    with load(max_workers=1):
        assert one().result(30) == 1
        [before] = interchanges()
        processes.kill(before)
        assert one().result(60) == 1
        [after] = interchanges()
        assert after != before


def test_node_with_many_workers_works_within_a_low_limit_which_its_tasks_keep(tmp_path):
    # An eighth of the usual soft limit, so that a node of 32 workers stands for one of 256.
    found = run_script(
        tmp_path, {"max_workers": 32, "cores_per_worker": 0.01, "label": "htex"}, ["-c", LOWER_LIMIT, "128"]
    )
    assert found["files"] == [128]


@pytest.mark.skipif(
    platform.machine() not in PIDFD_OPEN, reason="The number of pidfd_open is known for other machines."
)
@pytest.mark.parametrize("error", [errno.ENOSYS, errno.EPERM], ids=["old kernel", "old profile"])
def test_run_works_under_a_seccomp_profile_without_pidfd_open(tmp_path, error):
    filtered = [str(Path(__file__).with_name("seccomp.py")), str(PIDFD_OPEN[platform.machine()]), str(int(error))]
    found = run_script(tmp_path, {"max_workers": 2, "label": "htex"}, before=filtered)
    assert not found["pidfd"], "the filter is not in force"
    assert found["workers"] >= 1


@pytest.mark.root
def test_node_counts_the_cores_of_its_cpuset_and_pins_workers_to_them(tmp_path, control_group):
    core = max(os.sched_getaffinity(0))
    enter = control_group(core=core)
    found = run_script(tmp_path, {"label": "htex", "cpu_affinity": "block"}, enter)
    assert found["cores"] == [core]
    assert (found["node"], found["workers"]) == (1.0, 1)


@pytest.mark.root
def test_node_counts_the_cores_and_the_memory_that_its_control_group_grants(tmp_path, control_group):
    enter = control_group(quota=1.0, memory=600 * 2**20)
    found = run_script(tmp_path, {"label": "htex", "cores_per_worker": 0.5, "mem_per_worker": 0.1953125}, enter)
    assert (found["node"], found["memory"]) == (1.0, 600 * 2**20)
    assert found["workers"] == 2, "two by cores, three by memory"


@pytest.mark.long
@pytest.mark.timeout(300)
def test_node_of_512_workers_works_within_the_usual_limit_of_open_files(load, usual_limit):
    with load(max_workers=512, cores_per_worker=0.001) as dfk:
        assert one().result(200) == 1
        assert dfk.executors["htex"].connected_workers == 512
        assert {future.result(200) for future in [open_file_limit() for _ in range(1_000)]} == {usual_limit}


@pytest.mark.timeout(300)
def test_interchange_serves_2000_managers_within_the_usual_limit_of_open_files(tmp_path, usual_limit):
    simulation = Simulation(2_000, Plan(tasks=20_000, slots=4, window=8, period=2.0), tmp_path)
    try:
        row = simulation.run()
    finally:
        simulation.stop()
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == usual_limit
    assert (row.managers, row.tasks) == (2_000, 20_000)


@pytest.fixture
def usual_limit():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4_096:
        pytest.skip(f"The hard limit of open files is {hard}. Run: ulimit -Hn 4096")
    resource.setrlimit(resource.RLIMIT_NOFILE, (1_024, hard))
    yield 1_024
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def control_group():
    """Make control groups of this machine's version; return the arguments by which a script enters them."""
    made = []

    def make(*, core=None, quota=None, memory=None):
        for controller, values in _values(core, quota, memory).items():
            folder = Path("/sys/fs/cgroup", controller, f"cnflow-test-{os.getpid()}")
            folder.mkdir(exist_ok=True)
            made.append(folder)
            for name, value in values.items():
                (folder / name).write_text(value)
        files = [str(folder / "cgroup.procs") for folder in dict.fromkeys(made)]
        return ["-c", ENTER, *files, "--"]

    yield make
    for folder in dict.fromkeys(made):
        for pid in (folder / "cgroup.procs").read_text().split():
            pytest.fail(f"process {pid} is still in {folder}")
        folder.rmdir()


ENTER = """\
import os, sys
end = sys.argv.index("--")
for file in sys.argv[1:end]:
    with open(file, "w") as group:
        group.write(str(os.getpid()))
os.execv(sys.executable, [sys.executable, *sys.argv[end + 1:]])
"""


def _values(core, quota, memory):
    """Files to write, by controller: of version 1, or of version 2 under the empty name."""
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        values = {"cpuset.cpus": core, "cpu.max": quota and f"{int(quota * 100_000)} 100000", "memory.max": memory}
        Path("/sys/fs/cgroup/cgroup.subtree_control").write_text("+cpuset +cpu +memory")
        return {"": {name: str(value) for name, value in values.items() if value is not None}}
    values = {}
    if core is not None:
        memories = Path("/sys/fs/cgroup/cpuset/cpuset.mems").read_text().strip()
        values["cpuset"] = {"cpuset.cpus": str(core), "cpuset.mems": memories}
    if quota is not None:
        values["cpu"] = {"cpu.cfs_quota_us": str(int(quota * 100_000))}
    if memory is not None:
        values["memory"] = {"memory.limit_in_bytes": str(memory)}
    return values


def run_script(folder, settings, before=()):
    command = [sys.executable, *before, "-c", SCRIPT, json.dumps(settings), str(folder / "runs")]
    root = str(Path(__file__).parents[2])
    ended = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, timeout=90, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)
