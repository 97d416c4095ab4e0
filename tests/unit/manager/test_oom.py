import pytest

from cnflow.manager.node.oom import OomWatch

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


def test_kills_before_the_start_of_the_watch_are_ignored(group):
    root, _, _ = group
    assert OomWatch(root).take_cause() == ""


def test_each_kill_explains_one_exit_and_names_the_limit(group):
    root, counter, _ = group
    watch = OomWatch(root)
    counter.write_text("under_oom 0\noom_kill 5\n")
    causes = [watch.take_cause() for _ in range(3)]
    cause = "out of memory (OOM): the kernel killed it, since its block may use 200 MiB; set a larger memory="
    assert causes == [cause, cause, ""]


@pytest.mark.parametrize("limit", ["max\n", "9223372036854771712\n"])
def test_a_kill_without_a_limit_is_blamed_on_the_memory_of_the_machine(group, limit):
    root, counter, file = group
    watch = OomWatch(root)
    counter.write_text("oom_kill 4\n")
    file.write_text(limit)
    assert watch.take_cause().endswith("since the machine had none left")


def test_the_counter_of_the_machine_is_read_where_there_are_no_control_groups(tmp_path):
    (tmp_path / "proc").mkdir()
    assert OomWatch(tmp_path).take_cause() == ""
    (tmp_path / "proc/vmstat").write_text("oom_kill 5\n")
    watch = OomWatch(tmp_path)
    (tmp_path / "proc/vmstat").write_text("oom_kill 6\n")
    assert "OOM" in watch.take_cause()
