import os

import pytest

from cnflow.tasks import control_groups

GIB = 2**30


@pytest.fixture
def root(tmp_path):
    """File system whose control groups a test writes."""

    class Root:
        path = tmp_path

        def write(self, name, text):
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    return Root()


@pytest.mark.parametrize(
    ("groups", "folder"),
    [
        ("5:memory:/job/step\n4:cpu,cpuacct:/job/step\n0::/\n", "job/step/"),
        ("5:memory:/docker/1\n4:cpu,cpuacct:/docker/1\n", ""),
    ],
    ids=["on the node", "in a container"],
)
def test_limits_of_version_1_are_read(root, groups, folder):
    root.write("proc/self/cgroup", groups)
    root.write(f"sys/fs/cgroup/cpu/{folder}cpu.cfs_quota_us", "150000\n")
    root.write(f"sys/fs/cgroup/cpu/{folder}cpu.cfs_period_us", "100000\n")
    root.write(f"sys/fs/cgroup/memory/{folder}memory.limit_in_bytes", f"{2 * GIB}\n")
    assert control_groups.core_quota(root.path) == 1.5
    assert control_groups.memory_limit(root.path) == 2 * GIB


@pytest.mark.parametrize(
    ("groups", "folder"), [("0::/job/step\n", "job/step/"), ("0::/\n", "")], ids=["on the node", "in a container"]
)
def test_limits_of_version_2_are_read(root, groups, folder):
    root.write("proc/self/cgroup", groups)
    root.write(f"sys/fs/cgroup/{folder}cpu.max", "150000 100000\n")
    root.write(f"sys/fs/cgroup/{folder}memory.max", f"{2 * GIB}\n")
    assert control_groups.core_quota(root.path) == 1.5
    assert control_groups.memory_limit(root.path) == 2 * GIB


def test_the_tightest_limit_on_the_way_up_holds(root):
    root.write("proc/self/cgroup", "0::/slurm/job/step\n")
    for folder, cores, memory in (
        ("slurm", "max", "max"),
        ("slurm/job", "200000", GIB),
        ("slurm/job/step", "max", "max"),
    ):
        root.write(f"sys/fs/cgroup/{folder}/cpu.max", f"{cores} 100000\n")
        root.write(f"sys/fs/cgroup/{folder}/memory.max", f"{memory}\n")
    assert control_groups.core_quota(root.path) == 2.0
    assert control_groups.memory_limit(root.path) == GIB


def test_groups_without_limits_leave_the_machine(root):
    root.write("proc/self/cgroup", "5:memory:/\n4:cpu:/\n0::/\n")
    root.write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n")
    root.write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
    root.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    assert control_groups.core_quota(root.path) is None
    assert control_groups.memory_limit(root.path) is None
    assert control_groups.usable_cores(root.path) == len(os.sched_getaffinity(0))
    assert control_groups.usable_memory(root.path) > GIB / 4


def test_systems_without_control_groups_have_no_limits(root):
    assert control_groups.core_quota(root.path) is None
    assert control_groups.memory_limit(root.path) is None


def test_a_quota_is_no_more_than_the_cores_of_the_process(root):
    root.write("proc/self/cgroup", "0::/\n")
    root.write("sys/fs/cgroup/cpu.max", "99900000 100000\n")
    assert control_groups.usable_cores(root.path) == len(os.sched_getaffinity(0))


def test_a_share_of_a_core_is_no_whole_core(root):
    root.write("proc/self/cgroup", "0::/\n")
    root.write("sys/fs/cgroup/cpu.max", "50000 100000\n")
    assert control_groups.usable_cores(root.path) == 0.5
