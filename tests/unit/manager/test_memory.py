import pytest

from cnflow.manager.node.oom import OutOfMemory

CASES = {
    "first version, outside": ("4:memory:/job\n0::/\n", "memory/job", "memory.oom_control", "memory.limit_in_bytes"),
    "first version, in a container": ("4:memory:/docker/1\n", "memory", "memory.oom_control", "memory.limit_in_bytes"),
    "second version, outside": ("0::/job\n", "job", "memory.events", "memory.max"),
    "second version, in a container": ("0::/\n", ".", "memory.events", "memory.max"),
}


@pytest.fixture(params=CASES)
def group(request, tmp_path):
    groups, folder, counter, limit = CASES[request.param]
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(groups)
    (tmp_path / "proc/vmstat").write_text("oom_kill 5\n")
    place = tmp_path / "sys/fs/cgroup" / folder
    place.mkdir(parents=True)
    (place / counter).write_text("under_oom 0\noom_kill 3\n")
    (place / limit).write_text(str(200 * 2**20))
    return tmp_path, place / counter, place / limit


def test_what_happened_before_it_looked_is_nobodys_cause(group):
    root, _, _ = group
    assert OutOfMemory(root).cause() == ""


def test_each_kill_explains_one_end_and_names_the_limit(group):
    root, counter, _ = group
    watch = OutOfMemory(root)
    counter.write_text("under_oom 0\noom_kill 5\n")
    causes = [watch.cause() for _ in range(3)]
    assert causes == ["out of memory (OOM): the kernel killed it, since its block may use 200 MiB"] * 2 + [""]


@pytest.mark.parametrize("limit", ["max\n", "9223372036854771712\n"])
def test_without_a_limit_it_was_the_machines_memory(group, limit):
    root, counter, file = group
    watch = OutOfMemory(root)
    counter.write_text("oom_kill 4\n")
    file.write_text(limit)
    assert watch.cause().endswith("since the machine had none left")


def test_without_groups_the_machine_is_asked_and_without_that_nobody(tmp_path):
    (tmp_path / "proc").mkdir()
    assert OutOfMemory(tmp_path).cause() == ""
    (tmp_path / "proc/vmstat").write_text("oom_kill 5\n")
    watch = OutOfMemory(tmp_path)
    (tmp_path / "proc/vmstat").write_text("oom_kill 6\n")
    assert "OOM" in watch.cause()
