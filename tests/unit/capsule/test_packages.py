import sys
from pathlib import Path

from cnflow.capsule import Kind
from cnflow.capsule.packages import explain, may_be_copied, pip_command

KIND = Kind("3.9", "x86_64", "glibc")
FILES = ["zmq/__init__.py", "zmq/error.py"]


def wheel(tag):
    return f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n"


def test_pip_is_asked_for_wheels_of_the_other_python_only():
    command = pip_command(KIND, Path("wheels"), ["pyzmq>=26.2"])
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert command[command.index("--python-version") + 1] == "3.9"
    assert {"--only-binary=:all:", "--no-deps", "manylinux_2_28_x86_64", "manylinux2014_x86_64"} <= set(command)
    assert command[-1] == "pyzmq>=26.2"


def test_a_published_wheel_is_copied():
    assert may_be_copied(wheel("cp311-cp311-manylinux_2_28_x86_64"), FILES, "zmq", KIND)
    assert may_be_copied(wheel("cp39-cp39-manylinux_2_17_x86_64.manylinux2014_x86_64"), FILES, "zmq", KIND)
    assert may_be_copied(wheel("py3-none-any"), FILES, "zmq", KIND)


def test_a_wheel_built_here_or_for_a_newer_glibc_is_not():
    assert not may_be_copied(wheel("cp311-cp311-linux_x86_64"), FILES, "zmq", KIND)
    assert not may_be_copied(wheel("cp311-cp311-manylinux_2_39_x86_64"), FILES, "zmq", KIND)
    assert not may_be_copied("", FILES, "zmq", KIND)


def test_an_editable_install_is_not_copied_since_it_lists_no_code():
    assert not may_be_copied(wheel("py3-none-any"), ["_editable.pth"], "zmq", KIND)


def test_a_failure_says_what_was_tried_pips_last_words_and_what_to_do():
    said = str(
        explain(KIND, ["python", "-m", "pip"], "a\nb\nc\nd\ne\nWARNING: Retrying\nERROR: No matching distribution")
    )
    assert "python -m pip\n" in said
    assert "    ERROR: No matching distribution" in said
    assert "reaches its package index" in said
    assert "    a" not in said


def test_a_venv_without_pip_and_a_package_without_wheels_have_their_own_advice():
    assert "ensurepip" in str(explain(KIND, ["pip"], "/bin/python: No module named pip"))
    assert "publish wheels for" in str(explain(KIND, ["pip"], "ERROR: No matching distribution found for pyzmq"))
