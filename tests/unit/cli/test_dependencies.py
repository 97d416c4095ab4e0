import sys
from importlib import metadata

import pytest

from cnflow.cli.dependencies import Installed, Requirement, parse_requirement, requirements_by_extra


def test_all_lines_of_cnflows_metadata_are_parsed():
    for line in metadata.requires("cnflow") or []:
        assert parse_requirement(line).name in line


@pytest.mark.parametrize(
    ("line", "requirement"),
    [
        ("pyzmq>=26.2", Requirement("pyzmq", "26.2", extra="", before="")),
        ("tomli>=2.2; python_version < '3.11'", Requirement("tomli", "2.2", extra="", before="3.11")),
        ("docker>=7.1; extra == 'docker'", Requirement("docker", "7.1", extra="docker", before="")),
        ("pyright[nodejs]>=1.1; extra == 'dev'", Requirement("pyright", "1.1", extra="dev", before="")),
        ('a; python_version < "3.11" and extra == "x"', Requirement("a", "", extra="x", before="3.11")),
    ],
)
def test_requirement_is_parsed(line, requirement):
    assert parse_requirement(line) == requirement


def test_unknown_form_of_a_requirement_is_an_error():
    with pytest.raises(ValueError, match="cannot parse a dependency in its own metadata: 'zmq @ git"):
        parse_requirement("zmq @ git+ssh://somewhere")


def test_development_extras_and_requirements_of_other_pythons_are_left_out():
    lines = [
        "a>=1",
        "b>=1; extra == 'dev'",
        "c>=1; extra == 'yaml'",
        "d>=1; python_version < '3.5'",
        "e; extra == 'all'",
    ]
    found = requirements_by_extra(lines)
    assert {extra: [r.name for r in those] for extra, those in found.items()} == {"": ["a"], "yaml": ["c"]}


def test_requirement_of_this_python_applies():
    newer = f"{sys.version_info.major}.{sys.version_info.minor + 1}"
    assert parse_requirement(f"a; python_version < '{newer}'").applies_here


@pytest.mark.parametrize(
    ("version", "is_sufficient"), [("", False), ("7.0.9", False), ("7.1", True), ("7.10.0", True), ("8.0rc1", True)]
)
def test_versions_are_compared_as_numbers(version, is_sufficient):
    assert Installed(Requirement("docker", "7.1", extra="", before=""), version).is_sufficient is is_sufficient
