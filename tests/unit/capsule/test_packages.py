import sys
from pathlib import Path

from cnflow.capsule import Kind
from cnflow.capsule.packages import is_portable, pip_command, pip_failure

KIND = Kind("3.9", "x86_64", "glibc")
FILES = ["zmq/__init__.py", "zmq/error.py"]


def wheel(tag):
    return f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n"


def test_pip_downloads_only_wheels_of_the_other_python():
    command = pip_command(KIND, Path("wheels"), ["pyzmq>=26.2"])
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert command[command.index("--python-version") + 1] == "3.9"
    assert {"--only-binary=:all:", "--no-deps", "manylinux_2_28_x86_64", "manylinux2014_x86_64"} <= set(command)
    assert command[-1] == "pyzmq>=26.2"


def test_published_wheel_is_portable():
    assert is_portable(wheel("cp311-cp311-manylinux_2_28_x86_64"), FILES, "zmq", KIND)
    assert is_portable(wheel("cp39-cp39-manylinux_2_17_x86_64.manylinux2014_x86_64"), FILES, "zmq", KIND)
    assert is_portable(wheel("py3-none-any"), FILES, "zmq", KIND)


def test_wheel_built_here_or_for_a_newer_glibc_is_not_portable():
    assert not is_portable(wheel("cp311-cp311-linux_x86_64"), FILES, "zmq", KIND)
    assert not is_portable(wheel("cp311-cp311-manylinux_2_39_x86_64"), FILES, "zmq", KIND)
    assert not is_portable("", FILES, "zmq", KIND)


def test_editable_install_is_not_portable():
    assert not is_portable(wheel("py3-none-any"), ["_editable.pth"], "zmq", KIND)


def test_pip_failure_shows_the_command_its_last_lines_and_advice():
    message = str(
        pip_failure(KIND, ["python", "-m", "pip"], "a\nb\nc\nd\ne\nWARNING: Retrying\nERROR: No matching distribution")
    )
    assert "python -m pip\n" in message
    assert "    ERROR: No matching distribution" in message
    assert "reaches its package index" in message
    assert "    a" not in message


def test_pip_failure_without_pip_or_wheels_has_other_advice():
    assert "ensurepip" in str(pip_failure(KIND, ["pip"], "/bin/python: No module named pip"))
    assert "publish wheels for" in str(pip_failure(KIND, ["pip"], "ERROR: No matching distribution found for pyzmq"))
