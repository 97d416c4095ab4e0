"""Logs that grow, read part by part."""

import os

import pytest

from cnflow.monitoring.dashboard.log_parts import part_of


def test_a_log_is_read_on_from_its_position(tmp_path):
    log = tmp_path / "block-0.log"
    log.write_text("one\n")
    first = part_of(log)
    with log.open("a") as file:
        file.write("two\n")
    second = part_of(log, first["position"])
    assert (first["text"], second["text"]) == ("one\n", "two\n")
    assert part_of(log, second["position"])["text"] == ""


def test_a_huge_log_is_read_from_near_its_end(tmp_path):
    log = tmp_path / "block-0.log"
    log.write_bytes(b"x" * 1000 + b"end")
    part = part_of(log, most=5)
    assert (part["text"], part["skipped"]) == ("xxend", 998)


def test_a_log_that_was_rotated_is_read_from_its_beginning(tmp_path):
    log = tmp_path / "block-0.log"
    log.write_text("old and long\n")
    position = part_of(log)["position"]
    log.rename(tmp_path / "block-0.log.1")
    log.write_text("new\n")
    assert part_of(log, position)["text"] == "new\n"


def test_a_log_that_was_cut_is_read_from_its_beginning(tmp_path):
    log = tmp_path / "block-0.log"
    log.write_text("old and long\n")
    position = part_of(log)["position"]
    log.write_text("new\n")
    assert part_of(log, position)["text"] == "new\n"


def test_a_log_that_is_missing_has_a_note(tmp_path):
    assert part_of(tmp_path / "none.log")["note"] == "Nothing was written yet."
    assert part_of(tmp_path / "none.log", is_final=True)["note"] == "There is no such log."
    assert part_of(tmp_path)["note"] == "It cannot be read: Is a directory."


def test_a_position_that_was_made_up_reads_the_end(tmp_path):
    log = tmp_path / "block-0.log"
    log.write_text("text")
    assert [part_of(log, after)["text"] for after in ("-", "9-x", "x", "1-99999999999999999999")] == ["text"] * 4


@pytest.mark.parametrize("place", ["²", "9" * 5000, "-1"])
def test_a_position_that_is_no_number_reads_the_end(tmp_path, place):
    path = tmp_path / "a.log"
    path.write_text("text\n")
    assert part_of(path, f"{path.stat().st_ino}-{place}")["text"] == "text\n"


def test_bytes_that_are_no_text_are_replaced(tmp_path):
    log = tmp_path / "block-0.log"
    log.write_bytes(b"a\xffb")
    assert part_of(log)["text"] == "a\N{REPLACEMENT CHARACTER}b"


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert part_of(tmp_path / "pipe")["note"] == "It cannot be read: it is no plain file."


def test_a_run_of_another_user_shows_none_of_the_files_of_this_one(tmp_path, monkeypatch):
    secret, theirs = tmp_path / "id_rsa", tmp_path / "theirs"
    secret.write_text("secret")
    theirs.mkdir()
    (theirs / "out").write_text("hello")
    (theirs / "link").symlink_to(secret)
    names = {theirs, theirs / "out", theirs / "link"}
    own, real = os.geteuid(), os.lstat

    def lstat(path, **rest):
        found = list(real(path, **rest))
        return os.stat_result([*found[:4], own + 1 if path in names else own, *found[5:]])

    monkeypatch.setattr(os, "lstat", lstat)
    assert part_of(secret, named_by=(theirs,))["note"].startswith("It cannot be read: the run is of another user")
    assert part_of(theirs / "link", named_by=(tmp_path,))["text"] == ""
    assert part_of(secret, named_by=(tmp_path,))["text"] == "secret"
