import sys
from pathlib import Path

import pytest

from cnflow.capsule import Kind, interpreter
from cnflow.capsule.build import available_kind
from cnflow.capsule.interpreter import copy_interpreter, interpreter_tag, is_carried_folder, is_carried_module
from cnflow.capsule.libraries import Linked
from cnflow.errors import CapsuleError

LAUNCHERS = Path(interpreter.__file__).parent / "launchers"
OWN = Kind("3.11", "x86_64", "glibc", carries_python=True)


@pytest.mark.parametrize("name", ["test", "idlelib", "site-packages", "config-3.11-x86_64-linux-gnu", "__pycache__"])
def test_folder_that_no_task_needs_stays_out(name):
    assert not is_carried_folder(name)


@pytest.mark.parametrize(
    "name", ["_tkinter.cpython-311-x86_64-linux-gnu.so", "_testcapi.so", "libpython3.11.a", "x.pyc"]
)
def test_module_that_no_task_needs_stays_out(name):
    assert not is_carried_module(name)


def test_module_and_folder_that_tasks_need_are_carried():
    assert is_carried_folder("json")
    assert is_carried_module("_sysconfigdata__linux_x86_64-linux-gnu.py")
    assert is_carried_module("_ssl.cpython-311-x86_64-linux-gnu.so")


@pytest.mark.parametrize(("machine", "number"), [("x86_64", 62), ("aarch64", 183)])
def test_launcher_of_each_architecture_is_a_small_program_for_it(machine, number):
    # e_machine: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
    program = (LAUNCHERS / machine).read_bytes()
    assert program[:5] == b"\x7fELF\x02"
    assert int.from_bytes(program[18:20], "little") == number
    assert len(program) < 2048


def test_interpreter_without_a_loader_is_refused_with_what_to_do(tmp_path, monkeypatch):
    static = tmp_path / "python3"
    static.write_bytes((LAUNCHERS / "x86_64").read_bytes())
    monkeypatch.setattr(sys, "_base_executable", str(static))
    with pytest.raises(CapsuleError, match="linked statically") as caught:
        copy_interpreter(tmp_path / "into", tmp_path)
    assert "Run the script on another Python" in str(caught.value)


def test_interpreter_whose_library_is_missing_is_refused_with_the_name(tmp_path, monkeypatch):
    missing = Linked({}, ("libgone.so.1",))
    monkeypatch.setattr(interpreter, "libraries_of", lambda *_: missing)
    monkeypatch.setattr(interpreter, "_copy_standard_library", lambda _: iter(()))
    with pytest.raises(CapsuleError, match=r"are missing: libgone\.so\.1"):
        copy_interpreter(tmp_path / "into", tmp_path)


def test_tag_changes_with_the_interpreter(monkeypatch):
    before = interpreter_tag()
    assert before == interpreter_tag()
    monkeypatch.setattr(sys, "version", "3.11.99")
    assert interpreter_tag() != before


def test_kind_whose_packages_cannot_be_downloaded_becomes_the_carried_one_and_pip_is_quoted(
    tmp_path, monkeypatch, caplog
):
    def fail(kind, _):
        raise CapsuleError(f"no index for {kind.slug}")

    monkeypatch.setattr("cnflow.capsule.build._packages", fail)
    monkeypatch.setattr("cnflow.capsule.build.carrying_kind", lambda: OWN)
    assert available_kind(Kind("3.9", "x86_64", "musl"), tmp_path) == OWN
    assert "no index for cp39-x86_64-musl" in caplog.text
    with pytest.raises(CapsuleError, match="no index for cp39-aarch64-glibc"):
        available_kind(Kind("3.9", "aarch64", "glibc"), tmp_path)
