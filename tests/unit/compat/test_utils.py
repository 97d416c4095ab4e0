import os
import re
import subprocess
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnflow.compat.parsl.utils import (
    RepresentationMixin,
    execute_wait,
    get_all_checkpoints,
    get_last_checkpoint,
    sanitize_dns_label_rfc1123,
    sanitize_dns_subdomain_rfc1123,
    time_limited_open,
    wait_for_file,
    wtime_to_minutes,
)

LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
SUBDOMAIN = rf"{LABEL}(\.{LABEL})*"
NOTHING_TO_KEEP = "-. @$_é"


@pytest.mark.parametrize(("text", "minutes"), [("00:01:00", 1), ("01:30:59", 90), ("100:00:00", 6000), ("1:2:3", 62)])
def test_walltime_is_converted_to_whole_minutes(text, minutes):
    assert wtime_to_minutes(text) == minutes


def test_walltime_below_a_minute_is_warned_about(caplog):
    assert wtime_to_minutes("00:00:59") == 0
    assert "'00:00:59' is less than a minute" in caplog.text


@pytest.mark.parametrize("text", ["", "90", "10:00", "a:b:c", "-1:00:00", "1:2:3:4"])
def test_text_that_is_no_walltime_is_refused(text):
    with pytest.raises(ValueError, match="written 'HH:MM:SS'"):
        wtime_to_minutes(text)


def test_wait_for_file_does_not_wait_for_an_existing_file(tmp_path):
    begin = time.monotonic()
    with wait_for_file(tmp_path, seconds=60):
        assert time.monotonic() - begin < 30


def test_wait_for_file_waits_until_the_file_exists(tmp_path):
    file = tmp_path / "late"
    threading.Timer(0.1, file.write_text, ["x"]).start()
    with wait_for_file(str(file), seconds=60):
        assert file.exists()


def test_wait_for_file_enters_the_block_after_its_timeout(tmp_path):
    with wait_for_file(tmp_path / "never", seconds=0.05):
        assert not (tmp_path / "never").exists()


def test_time_limited_open_waits_for_the_file_and_closes_it(tmp_path):
    file, before = tmp_path / "late", tmp_path / "before"
    before.write_text("x")
    threading.Timer(0.1, before.rename, [file]).start()
    with time_limited_open(file, "r", seconds=60) as opened:
        assert opened.read() == "x"
    assert opened.closed
    with pytest.raises(FileNotFoundError), time_limited_open(tmp_path / "never", "r", seconds=0.05):
        pytest.fail("the block began")


def test_time_limited_open_closes_the_file_when_the_block_raises(tmp_path):
    with pytest.raises(KeyError), time_limited_open(tmp_path / "new", "w") as opened:
        raise KeyError
    assert opened.closed


def test_execute_wait_returns_exit_code_and_output():
    assert execute_wait("printf out; printf err >&2; exit 3") == (3, "out", "err")
    assert execute_wait("kill -9 $$")[0] == -9
    assert execute_wait("printf '\\377'")[1] == "\ufffd"


def test_execute_wait_passes_the_environment_of_the_caller(monkeypatch):
    monkeypatch.setenv("COLOUR", "blue")
    assert execute_wait("echo $COLOUR", 10)[1] == "blue\n"


def test_execute_wait_reads_more_output_than_a_pipe_holds():
    code, out, _ = execute_wait("yes | head -c 300000", walltime=60)
    assert (code, len(out)) == (0, 300_000)


def test_execute_wait_kills_a_late_command_with_its_children(until, tmp_path):
    with pytest.raises(subprocess.TimeoutExpired):
        execute_wait(f"sleep 600 & echo $! > {tmp_path}/pid; echo said; wait", walltime=1)
    pid = int((tmp_path / "pid").read_text())
    until(lambda: not is_running(pid))


def is_running(pid):
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123 - not a file
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


@given(st.text(max_size=400))
def test_sanitized_label_is_valid_or_the_text_is_refused(text):
    if re.search("[a-z0-9]", text.lower()):
        assert re.fullmatch(LABEL, sanitize_dns_label_rfc1123(text))
    else:
        with pytest.raises(ValueError, match=re.escape(f"Sanitized DNS label is empty for input '{text}'")):
            sanitize_dns_label_rfc1123(text)


@given(st.text(alphabet="aZ9-.@é", max_size=600))
def test_sanitized_subdomain_is_valid_or_the_text_is_refused(text):
    if re.search("[a-z0-9]", text.lower()):
        subdomain = sanitize_dns_subdomain_rfc1123(text)
        assert re.fullmatch(SUBDOMAIN, subdomain)
        assert len(subdomain) <= 253
    else:
        with pytest.raises(ValueError, match=re.escape(f"Sanitized DNS subdomain is empty for input '{text}'")):
            sanitize_dns_subdomain_rfc1123(text)


def test_sanitized_label_stays_readable():
    assert sanitize_dns_label_rfc1123("My Run_7 (second)") == "my-run-7-second"
    assert sanitize_dns_subdomain_rfc1123("..Block.7..host.$") == "block.7.host"
    assert sanitize_dns_label_rfc1123("-" * 70 + "a") == "a"


@pytest.mark.parametrize("sanitize", [sanitize_dns_label_rfc1123, sanitize_dns_subdomain_rfc1123])
def test_text_without_valid_characters_is_refused(sanitize):
    with pytest.raises(ValueError, match="is empty for input"):
        sanitize(NOTHING_TO_KEEP)


class Box(RepresentationMixin):
    def __init__(self, width, height=2, *rest, colour="red", **more):
        self.width, self.height, self.colour = width, height, colour


def test_repr_reads_as_the_call():
    assert repr(Box(1, colour="blue")) == "Box(1, height=2, colour='blue')"


def test_long_repr_has_an_indented_line_for_each_parameter():
    inner = Box("x" * 70)
    assert repr(Box(inner)).splitlines() == [
        "Box(",
        "    Box(",
        f"        '{'x' * 70}',",
        "        height=2,",
        "        colour='red'",
        "    ),",
        "    height=2,",
        "    colour='red'",
        ")",
    ]


def test_class_sets_the_width_of_its_repr():
    class Wide(Box):
        __max_width__ = 500

    assert len(repr(Wide("x" * 100)).splitlines()) == 1


class Forgetful(RepresentationMixin):
    def __init__(self, x, y):
        self.y = y


def test_repr_marks_a_parameter_that_is_not_stored():
    assert repr(Forgetful(1, 2)) == "Forgetful(<unrecorded>, 2)"


def test_repr_of_a_checked_class_refuses_a_parameter_that_is_not_stored():
    class Checked(Forgetful):
        _validate_repr = True

    with pytest.raises(AttributeError, match="Checked keeps no attribute 'x'"):
        repr(Checked(1, 2))


def test_checkpoints_are_found_in_folders_of_both_names(tmp_path):
    for run, folder in (("000", "checkpoint"), ("001", "checkpoints"), ("002", "checkpoint")):
        (tmp_path / run / folder).mkdir(parents=True)
        if run != "002":
            (tmp_path / run / folder / "tasks.sqlite").touch()
    all_of_them = [str(tmp_path / "000" / "checkpoint"), str(tmp_path / "001" / "checkpoints")]
    assert get_all_checkpoints(tmp_path) == all_of_them
    assert get_last_checkpoint(tmp_path) == all_of_them[1:]
    assert get_last_checkpoint(tmp_path / "none") == []
