from pathlib import Path

import pytest

from cnflow.capsule import TRAVELS, Kind, driver_root
from cnflow.capsule.contents import capsule_tag, digest, is_kept, packages_tag, requirements, travelling_files

KIND = Kind("3.9", "x86_64", "glibc")


def test_what_travels_is_there_and_nothing_of_the_driver_is():
    names = [name for name, _ in travelling_files(driver_root())]
    tops = {Path(name).parts[1] for name in names}
    assert tops <= {Path(name).parts[0] for name in TRAVELS}
    assert {"__init__.py", "errors", "model"} <= tops
    assert names == sorted(names)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("zmq/__init__.py", True),
        ("zmq/backend/cython/_zmq.abi3.so", True),
        ("pyzmq.libs/libzmq.so.5", True),
        ("zmq/tests/test_socket.py", False),
        ("zmq/__pycache__/x.cpython-311.pyc", False),
        ("zmq/utils/mutex.h", False),
        ("msgspec/__init__.pyi", False),
        ("tests.py", True),
    ],
)
def test_only_what_runs_is_kept(name, kept):
    assert is_kept(name) is kept


def test_the_tag_changes_with_the_code_the_kind_and_the_requirements():
    code = [("cnflow/ids.py", b"one")]
    tag = capsule_tag(KIND, requirements("3.1.2"), code)
    assert tag.startswith("cp39-x86_64-glibc-")
    assert tag == capsule_tag(KIND, requirements("3.1.2"), code)
    assert tag != capsule_tag(KIND, requirements("3.1.2"), [("cnflow/ids.py", b"two")])
    assert tag != capsule_tag(KIND, requirements("3.1.1"), code)
    assert tag != capsule_tag(Kind("3.10", "x86_64", "glibc"), requirements("3.1.2"), code)


def test_packages_are_shared_by_capsules_of_different_code():
    assert packages_tag(KIND, requirements("3.1.2")) == packages_tag(KIND, requirements("3.1.2"))


def test_a_digest_tells_where_its_parts_end():
    assert digest([b"ab", b"c"]) != digest([b"a", b"bc"])


def test_cloudpickle_has_the_drivers_own_version():
    assert "cloudpickle==3.1.2" in requirements("3.1.2")
