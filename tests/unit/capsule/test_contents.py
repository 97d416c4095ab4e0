from pathlib import Path

import pytest

from cnflow.capsule import CAPSULE_PARTS, Kind, driver_root
from cnflow.capsule.contents import capsule_files, capsule_tag, digest, is_kept, packages_tag, requirements

KIND = Kind("3.9", "x86_64", "glibc")


def test_capsule_contains_its_parts_and_nothing_of_the_driver():
    names = [name for name, _ in capsule_files(driver_root())]
    tops = {Path(name).parts[1] for name in names}
    assert tops <= {Path(name).parts[0] for name in CAPSULE_PARTS}
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
def test_only_files_needed_at_run_time_are_kept(name, kept):
    assert is_kept(name) is kept


def test_capsule_tag_changes_with_code_kind_and_requirements():
    code = [("cnflow/ids.py", b"one")]
    tag = capsule_tag(KIND, requirements("3.1.2"), code)
    assert tag.startswith("cp39-x86_64-glibc-")
    assert tag == capsule_tag(KIND, requirements("3.1.2"), code)
    assert tag != capsule_tag(KIND, requirements("3.1.2"), [("cnflow/ids.py", b"two")])
    assert tag != capsule_tag(KIND, requirements("3.1.1"), code)
    assert tag != capsule_tag(Kind("3.10", "x86_64", "glibc"), requirements("3.1.2"), code)


def test_capsules_of_different_code_share_their_packages():
    assert packages_tag(KIND, requirements("3.1.2")) == packages_tag(KIND, requirements("3.1.2"))


def test_digest_depends_on_the_boundaries_of_parts():
    assert digest([b"ab", b"c"]) != digest([b"a", b"bc"])


def test_cloudpickle_has_the_version_of_the_driver():
    assert "cloudpickle==3.1.2" in requirements("3.1.2")
