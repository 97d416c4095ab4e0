"""Use of processes, from /proc: which belong to a worker, and what they sum up to."""

import os

import pytest

from cnflow.manager.usage.processes import ProcessTable, parse_stat

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def stat(pid, parent, session, *, name="python", ticks=(0, 0, 0, 0), state="S"):
    user, system, child_user, child_system = ticks
    before = f"{pid} ({name}) {state} {parent} {pid} {session} 0 -1 4194560 1 2 3 4"
    return f"{before} {user} {system} {child_user} {child_system} 20 0 1 0 100 {20 * PAGE} 10 " + "0 " * 14 + "3 0"


def make_process(root, pid, parent, session, *, moved=(0, 0), switches=(0, 0), **values):
    folder = root / "proc" / str(pid)
    folder.mkdir(parents=True)
    (folder / "stat").write_text(stat(pid, parent, session, **values))
    (folder / "io").write_text(f"rchar: 9\nread_bytes: {moved[0]}\nwrite_bytes: {moved[1]}\n")
    (folder / "status").write_text(
        f"Name:\tx\nvoluntary_ctxt_switches:\t{switches[0]}\nnonvoluntary_ctxt_switches:\t{switches[1]}\n"
    )


def test_processes_of_the_session_and_all_descendants_count(tmp_path):
    make_process(tmp_path, 1, 0, 1, ticks=(900, 900, 0, 0))
    make_process(tmp_path, 10, 1, 10, ticks=(10, 20, 30, 40), moved=(1, 2), switches=(3, 4))
    make_process(tmp_path, 11, 10, 10, ticks=(1, 2, 3, 4), moved=(10, 20), switches=(30, 40), state="R")
    make_process(tmp_path, 12, 11, 12)  # left the session, but has a parent in it
    make_process(tmp_path, 13, 1, 10)  # its parent ended
    make_process(tmp_path, 20, 1, 20, moved=(1000, 1000))
    use = ProcessTable(str(tmp_path)).use_of(10)
    assert use.pids == {10, 11, 12, 13}
    assert (use.user, use.system) == pytest.approx(((10 + 30 + 1 + 3) / TICK, (20 + 40 + 2 + 4) / TICK))
    assert (use.resident, use.virtual) == (40 * PAGE, 80 * PAGE)
    assert (use.read, use.written, use.voluntary, use.involuntary) == (11, 22, 33, 44)
    assert (use.status, use.core) == ("sleeping", 3)


def test_process_that_ended_has_no_use(tmp_path):
    make_process(tmp_path, 1, 0, 1)
    assert ProcessTable(str(tmp_path)).use_of(10) is None
    assert ProcessTable(str(tmp_path / "nothing")).use_of(1) is None


def test_files_of_another_user_are_unknown(tmp_path):
    make_process(tmp_path, 10, 1, 10)
    (tmp_path / "proc/10/io").unlink()
    (tmp_path / "proc/10/status").write_text("Name:\tx\n")
    use = ProcessTable(str(tmp_path)).use_of(10)
    assert (use.read, use.written, use.voluntary, use.involuntary) == (-1, -1, -1, -1)


def test_name_of_a_process_may_hold_spaces_and_parentheses():
    process = parse_stat(stat(7, 3, 5, name="a (b) c) S 1 2").encode())
    assert (process.parent, process.session, process.core) == (3, 5, 3)
    assert parse_stat(b"") is None
    assert parse_stat(b"7 (x) S 1 2 3") is None


def test_this_process_has_a_use():
    use = ProcessTable().use_of(os.getpid())
    assert os.getpid() in use.pids
    assert use.resident > 0
    assert use.user + use.system > 0
