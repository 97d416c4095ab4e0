import sys
from importlib import metadata

import pytest

from cnflow.cli.dependencies import Installed, Requirement, parse_requirement, requirements_by_extra


def test_every_line_of_our_own_metadata_is_understood():
    for line in metadata.requires("cnflow") or []:
        assert parse_requirement(line).name in line


@pytest.mark.parametrize(
    ("line", "requirement"),
    [
        ("pyzmq>=26.2", Requirement("pyzmq", "26.2", extra="", before="")),
        ("tomli>=2.2; python_version < '3.11'", Requirement("tomli", "2.2", extra="", before="3.11")),
        ("docker>=7.1; extra == 'docker'", Requirement("docker", "7.1", extra="docker", before="")),
        ('a; python_version < "3.11" and extra == "x"', Requirement("a", "", extra="x", before="3.11")),
    ],
)
def test_a_line_is_taken_apart(line, requirement):
    assert parse_requirement(line) == requirement


def test_a_line_that_is_not_understood_is_not_passed_over():
    with pytest.raises(ValueError, match="unknown way: 'zmq @ git"):
        parse_requirement("zmq @ git+ssh://somewhere")


def test_what_only_builders_need_and_what_another_python_needs_is_left_out():
    lines = [
        "a>=1",
        "b>=1; extra == 'dev'",
        "c>=1; extra == 'yaml'",
        "d>=1; python_version < '3.5'",
        "e; extra == 'all'",
    ]
    found = requirements_by_extra(lines)
    assert {extra: [r.name for r in those] for extra, those in found.items()} == {"": ["a"], "yaml": ["c"]}


def test_a_requirement_of_this_python_counts():
    newer = f"{sys.version_info.major}.{sys.version_info.minor + 1}"
    assert parse_requirement(f"a; python_version < '{newer}'").applies_here


@pytest.mark.parametrize(
    ("version", "will_do"), [("", False), ("7.0.9", False), ("7.1", True), ("7.10.0", True), ("8.0rc1", True)]
)
def test_a_version_is_compared_as_numbers(version, will_do):
    assert Installed(Requirement("docker", "7.1", extra="", before=""), version).will_do is will_do
