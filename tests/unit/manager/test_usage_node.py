"""Use of the node: of its control group where one has limits, else of the machine."""

import os

import pytest

from cnflow.manager.usage.node import NodeMeter
from cnflow.manager.usage.sampler import cpu_percent

TICK = os.sysconf("SC_CLK_TCK")
GIB = 2**30


def write(root, name, text):
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2})
    cpus = "\n".join(f"cpu{number} {100 * number} 5 10 7 3 1 1 1 50 0" for number in range(3))
    write(tmp_path, "proc/stat", f"cpu  1 1 1 1\n{cpus}\nintr 5\n")
    write(tmp_path, "proc/meminfo", f"MemTotal: {8 * 2**20} kB\nMemFree: 1 kB\nMemAvailable: {6 * 2**20} kB\n")
    write(
        tmp_path,
        "proc/diskstats",
        "   8 0 sda 9 0 100 0 9 0 200 0 0 0 0\n"
        "   8 1 sda1 9 0 100 0 9 0 200 0 0 0 0\n"
        " 259 0 nvme0n1 9 0 10 0 9 0 20 0 0 0 0\n"
        " 259 1 nvme0n1p1 9 0 10 0 9 0 20 0 0 0 0\n"
        " 253 0 dm-0 9 0 110 0 9 0 220 0 0 0 0\n"
        "   7 0 loop0 9 0 5 0 9 0 5 0 0 0 0\n",
    )
    write(tmp_path, "proc/self/cgroup", "4:memory:/job\n3:cpu,cpuacct:/job\n2:blkio:/job\n0::/job\n")
    return tmp_path


def test_machine_without_limits_is_measured_on_the_cores_that_may_be_used(machine):
    meter = NodeMeter(machine)
    assert meter.cores == 2
    state = meter.read()
    assert state.cpu == pytest.approx(((0 + 5 + 10 + 3) + (200 + 5 + 10 + 3)) / TICK)
    assert state.memory == 2 * GIB
    assert (state.read, state.written) == (110 * 512, 220 * 512)


def test_group_of_version_two_with_limits_is_the_node(machine):
    group = "sys/fs/cgroup/job"
    write(machine, f"{group}/memory.max", str(4 * GIB))
    write(machine, f"{group}/memory.current", str(3 * GIB))
    write(machine, f"{group}/memory.stat", f"anon 5\ninactive_file {GIB}\n")
    write(machine, f"{group}/cpu.max", "150000 100000\n")
    write(machine, f"{group}/cpu.stat", "usage_usec 2500000\nuser_usec 1\n")
    write(machine, f"{group}/io.stat", "8:0 rbytes=100 wbytes=20 rios=1\n259:0 rbytes=1 wbytes=2 rios=1\n")
    meter = NodeMeter(machine)
    assert meter.cores == 1.5
    assert meter.read() == (2.5, 2 * GIB, 101, 22)


def test_group_of_version_one_with_limits_is_the_node(machine):
    groups = "sys/fs/cgroup"
    write(machine, f"{groups}/memory/job/memory.limit_in_bytes", str(4 * GIB))
    write(machine, f"{groups}/memory/job/memory.usage_in_bytes", str(3 * GIB))
    write(machine, f"{groups}/memory/job/memory.stat", f"cache 1\ntotal_inactive_file {GIB}\n")
    write(machine, f"{groups}/cpu/job/cpu.cfs_quota_us", "200000\n")
    write(machine, f"{groups}/cpu/job/cpu.cfs_period_us", "100000\n")
    write(machine, f"{groups}/cpuacct/job/cpuacct.usage", "3500000000\n")
    write(
        machine,
        f"{groups}/blkio/job/blkio.throttle.io_service_bytes",
        "8:0 Read 7\n8:0 Write 8\n8:0 Sync 9\nTotal 15\n",
    )
    meter = NodeMeter(machine)
    assert meter.cores == 2
    assert meter.read() == (3.5, 2 * GIB, 7, 8)


def test_machine_that_shows_nothing_is_unknown(tmp_path):
    assert NodeMeter(tmp_path).read() == (-1.0, -1, -1, -1)


def test_percent_is_of_the_cores_and_of_the_time_between():
    meter = NodeMeter()
    before = meter.read()
    after = before._replace(cpu=before.cpu + 3.0)
    assert cpu_percent(before, after, 2.0, 3.0) == 50.0
    assert cpu_percent(before, after, 1.0, 1.0) == 100.0
    assert cpu_percent(before._replace(cpu=-1.0), after, 1.0, 1.0) == -1.0
    assert cpu_percent(before, after, 0.0, 1.0) == -1.0
