"""Packages of a Python, and their digest."""

import importlib.metadata

from cnflow.model.packages import digest_of_packages, installed_packages


def test_packages_are_those_that_the_metadata_names():
    ours = installed_packages()
    named = {
        each.metadata["Name"].lower().replace("_", "-").replace(".", "-") for each in importlib.metadata.distributions()
    }
    assert ours.keys() >= named - {"cnflow"}
    assert ours["msgspec"] == importlib.metadata.version("msgspec")


def test_the_first_of_two_folders_counts(tmp_path):
    for folder, version in (("a", "1"), ("b", "2")):
        (tmp_path / folder / f"Some_Pkg-{version}.dist-info").mkdir(parents=True)
    (tmp_path / "b" / "other-0.1-py3.11.egg-info").touch()
    assert installed_packages([str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "none")]) == {
        "some-pkg": "1",
        "other": "0.1",
    }


def test_the_digest_depends_on_names_and_versions_alone():
    assert digest_of_packages({"A_b": "1", "c": "2"}) == digest_of_packages({"c": "2", "a-b": "1"})
    assert digest_of_packages({"a": "1"}) != digest_of_packages({"a": "2"})
    assert digest_of_packages({}) == ""
