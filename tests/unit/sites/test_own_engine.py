"""Engines of the driver's machine, in whose place small programs answer."""

import io
import json

import pytest

from cnflow.errors import ImageNotFoundError
from cnflow.sites.own_engine import OwnEngines

INSPECTED = json.dumps(
    [
        {
            "Id": "ab12",
            "RepoDigests": ["app@sha256:1"],
            "Os": "linux",
            "Architecture": "arm64",
            "Variant": "v8",
            "Size": 7,
        }
    ]
)


@pytest.fixture
def engine(tmp_path):
    """Makes a program: ``engine(name, script)``; returns its path."""

    def make(name, script):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return str(path)

    return make


def test_image_of_the_second_engine_is_found(engine):
    first = engine("docker", "exit 1")
    second = engine("podman", f"cat <<'E'\n{INSPECTED}\nE")
    found = OwnEngines([first, second]).find("app:1")
    assert (found.program, found.id, found.digests) == (second, "sha256:ab12", ("app@sha256:1",))
    assert (found.operating_system, found.architecture, found.variant, found.size) == ("linux", "arm64", "v8", 7)


@pytest.mark.parametrize("script", ["exit 1", "echo no JSON", "echo []"])
def test_engine_that_does_not_have_it_or_answers_nonsense_has_none(engine, script):
    assert OwnEngines([engine("docker", script)]).find("app:1") is None


def test_archive_is_what_the_engine_writes(engine):
    program = engine("docker", f'[ "$1" = save ] && printf "%s" "$2" || cat <<\'E\'\n{INSPECTED}\nE')
    engines, target = OwnEngines([program]), io.BytesIO()
    engines.save(engines.find("app:1"), target)
    assert target.getvalue() == b"app:1"


def test_engine_that_fails_to_save_is_quoted(engine):
    program = engine("docker", f"[ \"$1\" = save ] && {{ echo no room >&2; exit 1; }}; cat <<'E'\n{INSPECTED}\nE")
    engines = OwnEngines([program])
    with pytest.raises(ImageNotFoundError, match="Image 'app:1' cannot be saved: no room"):
        engines.save(engines.find("app:1"), io.BytesIO())


def test_pull_that_no_engine_can_do_has_the_words_of_each(engine):
    engines = OwnEngines([engine("docker", "echo denied >&2; exit 1"), engine("podman", "echo refused >&2; exit 1")])
    with pytest.raises(ImageNotFoundError, match="cannot pull it, either: denied; refused"):
        engines.pull("app:1")


def test_machine_without_an_engine_says_so():
    with pytest.raises(ImageNotFoundError, match="there is no docker or podman on this machine"):
        OwnEngines(["/no/docker"]).pull("app:1")
