"""Names of an image in registries, and what is known of it."""

import pytest

from cnflow.capsule import Probe
from cnflow.images.references import registry_digest
from cnflow.model.packages import digest_of_packages
from cnflow.providers.docker.identity import facts_of

A, B = "@sha256:" + "a" * 64, "@sha256:" + "b" * 64


@pytest.mark.parametrize(
    ("reference", "digests", "chosen"),
    [
        ("r:5000/app:1", [f"other/app{A}", f"r:5000/app{B}"], f"r:5000/app{B}"),
        ("app:1", [f"r/app{A}", f"app{B}"], f"app{B}"),
        ("app:1", [f"docker.io/library/app{B}", f"a/app{A}"], f"docker.io/library/app{B}"),
        ("user/app", [f"docker.io/user/app{B}"], f"docker.io/user/app{B}"),
        ("sha256:12", [f"z/app{A}", f"b/app{B}"], f"b/app{B}"),
        ("app:1", [], ""),
    ],
)
def test_the_digest_is_that_of_the_references_repository(reference, digests, chosen):
    assert registry_digest(reference, digests) == chosen


def test_facts_are_those_of_the_engine_and_of_the_probe():
    attributes = {"Os": "linux", "Architecture": "arm64", "Variant": "v8", "RepoDigests": [f"app{A}"]}
    facts = facts_of("app:1", attributes, Probe("3.11.2", "CPython", "aarch64", "glibc 2.36", "/python"), {"a": "1"})
    assert facts == (f"app{A}", "linux/arm64/v8", "3.11.2", digest_of_packages({"a": "1"}))
