"""Each supported kind of interpreter has wheels, by a dry resolution whose result `make wheels` records."""

import json
from pathlib import Path

import pytest

from cnflow.capsule import Kind
from cnflow.capsule.kinds import MACHINES, NEWEST, OLDEST, PLATFORM_TAGS

RECORD = json.loads((Path(__file__).parents[2] / "data" / "wheels.json").read_text())
SUPPORTED = [
    Kind(f"3.{minor}", machine, libc)
    for libc in PLATFORM_TAGS
    for machine in MACHINES
    for minor in range(OLDEST[1], NEWEST[1] + 1)
]


def fits(wheel, kind):
    """True if the tags in the name of *wheel* (PEP 425) are those of an interpreter of *kind*."""
    *_, python, abi, platforms = wheel[: -len(".whl")].split("-")
    if (python, abi, platforms) == ("py3", "none", "any"):
        return True
    minor, own = int(python[len("cp3") :]), int(kind.python.partition(".")[2])
    is_built_for = minor <= own if abi == "abi3" else minor == own and abi == python
    return is_built_for and not {*platforms.split(".")}.isdisjoint(kind.platforms)


def test_record_names_each_supported_kind():
    assert set(RECORD) == {kind.slug for kind in SUPPORTED}
    assert len(SUPPORTED) == 24


@pytest.mark.parametrize("kind", SUPPORTED, ids=[kind.slug for kind in SUPPORTED])
def test_wheel_of_each_package_fits(kind):
    wheels = RECORD[kind.slug]
    assert [wheel.partition("-")[0] for wheel in wheels] == ["cloudpickle", "msgspec", "pyzmq"]
    assert all(fits(wheel, kind) for wheel in wheels), wheels


def test_wheel_for_another_kind_does_not_fit():
    kind = Kind("3.11", "aarch64", "musl")
    assert fits("msgspec-0.22.0-cp311-cp311-musllinux_1_2_aarch64.whl", kind)
    assert fits("pyzmq-27.3.0-cp39-abi3-musllinux_1_2_aarch64.whl", kind)
    assert not fits("pyzmq-27.3.0-cp312-abi3-musllinux_1_2_aarch64.whl", kind)
    assert not fits("msgspec-0.22.0-cp311-cp311-musllinux_1_2_x86_64.whl", kind)
    assert not fits("msgspec-0.22.0-cp311-cp311-manylinux_2_28_aarch64.whl", kind)
