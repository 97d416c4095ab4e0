"""Output of tasks, as pages read it: bounded, from a position on, and without what only a terminal understands."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnflow.log_lines import JSONLog
from cnflow.monitoring.dashboard.pages import output
from cnflow.run_logs.task_files import FILE
from tests.unit.monitoring.dashboard_data import a_detail, a_task

if TYPE_CHECKING:
    from pathlib import Path


def test_huge_file_shows_its_last_lines(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"x" * 99 + b"\n")
    with path.open("r+b") as file:
        file.truncate(10 * 2**30)  # with a hole: it takes no space
        file.seek(0, os.SEEK_END)
        file.write(b"\nthe end\n")
    part = output.part(output.Source(path), "")
    assert part.text.endswith("the end\n")
    assert len(part.text) <= output.MOST
    assert part.skipped > 9 * 2**30


def test_character_that_is_half_written_comes_whole(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes("grün".encode()[:-2])
    first = output.part(output.Source(path), "")
    path.write_bytes("grün".encode())
    assert first.text + output.part(output.Source(path), first.position).text == "grün"


def test_file_that_became_shorter_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("a long first try\n")
    position = output.part(output.Source(path), "").position
    path.write_text("again\n")
    assert output.part(output.Source(path), position).text == "again\n"


@pytest.mark.parametrize("position", ["x", "-3", "9" * 30, "1 2"])
def test_nonsense_as_a_position_harms_nothing(tmp_path: Path, position: str) -> None:
    path = tmp_path / "out"
    path.write_text("text\n")
    assert output.part(output.Source(path), position).text == "text\n"


def test_lines_of_a_task_in_a_log_of_json_are_its_messages(tmp_path: Path) -> None:
    path = tmp_path / "block-0.log"
    log = JSONLog({"run": "1", "block": "0"})
    dropped = b"(3 lines were dropped: the log could not be written)\n"
    path.write_bytes(
        log.of_worker(0)(b"fit[7]", b"hello | there") + log.of_worker(1)(b"fit[8]", b"other") + log.dropped(2) + dropped
    )
    shown = output.part(output.Source(path, 7), "").text
    words = ["(2 lines were dropped: the log could not be written)", dropped.decode().strip()]
    assert shown.splitlines() == ["hello | there", *words]


def test_line_without_an_end_does_not_hide_what_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "MOST_OF_LOG", 64)
    path = tmp_path / "block-0.log"
    path.write_bytes(b"fit[7] | a\n")
    position = output.part(output.Source(path, 7), "").position
    with path.open("ab") as file:
        file.write(b"x" * 100 + b"\nfit[7] | b\n")
    shown = []
    for _ in range(3):
        text, position, _ = output.part(output.Source(path, 7), position)
        shown.append(text)
    assert "".join(shown) == "b\n"


def test_files_of_a_task_are_looked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detail = a_detail(a_task(7))
    assert output.sources(detail, tmp_path, "stdout") == []
    (tmp_path / FILE).write_text('{"task": 8, "app": "f", "stdout": "/b"}\n')
    assert output.sources(detail, tmp_path, "stdout") == []
    with (tmp_path / FILE).open("a") as file:
        file.write('{"task": 7, "app": "f", "stdout": "/a"}\n')
    first = output.sources(detail, tmp_path, "stdout")
    monkeypatch.setattr(output, "files_of", None)  # a list of a million tasks is not read each second
    assert output.sources(detail, tmp_path, "stdout") == first
    assert [str(each.path) for each in first] == ["/a"]


def test_long_line_takes_no_time() -> None:
    for text in (
        "x" * output.MOST,
        "\x1b[" * (output.MOST // 2),
        "\x1b]" * (output.MOST // 2),
        "a\r" * (output.MOST // 2),
    ):
        assert len(output.plain(text)) <= len(text)  # of a square of its length, the test would run out of time


def test_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert output.part(output.Source(path), "") == output.Part("", "")
    assert output.part(output.Source(tmp_path / "none"), "4") == output.Part("", "4")


def test_several_logs_keep_a_position_each(tmp_path: Path) -> None:
    logs = [tmp_path / name for name in ("block-0.log", "block-1.log")]
    for path in logs:
        path.write_text(f"app[7] | from {path.stem}\n")
    found = [output.Source(path, 7) for path in logs]
    first = output.all_parts(found, "")
    assert first.text == "from block-0\nfrom block-1\n"
    with logs[1].open("a") as file:
        file.write("app[7] | more\n")
    assert output.all_parts(found, first.position).text == "more\n"


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        (" 10 %\r 20 %\r 30 %\n", " 30 %\n"),
        ("windows\r\nlines\r\n", "windows\nlines\n"),
        ("bell\x07 nul\x00", "bell nul"),
        ("tab\tstays\n", "tab\tstays\n"),
    ],
)
def test_what_only_a_terminal_understands_is_left_out(printed: str, shown: str) -> None:
    assert output.plain(printed) == shown


@given(st.text())
def test_plain_text_has_no_escape(text: str) -> None:
    assert not set(output.plain(text)) & {"\x1b", "\r", "\x00"}
