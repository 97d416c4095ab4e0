"""Runs of images of a registry: what ran is known, a moved tag is told, and a locked run has what was locked."""

import io
import subprocess
import sys

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.config.image_lock import read_lock
from cnflow.errors import ImageLockError
from cnflow.executors import HighThroughputExecutor
from cnflow.model.image import Image
from cnflow.providers import DockerProvider
from cnflow.providers.docker.provider import DockerBackend

pytestmark = [pytest.mark.docker, pytest.mark.registry]


@python_app
def version():
    import os

    return os.environ["TEST_VERSION"]


@pytest.fixture
def publish(registries, engine, image_base):
    """Builds an image on the base image, pushes it, and returns its digest and id."""

    def build(name, text):
        dockerfile = f"FROM {image_base}\nENV TEST_VERSION={text}\n".encode()
        engine.images.build(fileobj=io.BytesIO(dockerfile), tag=name, rm=True, forcerm=True)
        return f"{name.rpartition(':')[0]}@{registries.push(name)}", engine.images.get(name).id

    return build


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the app in an image: ``run(name, locked=False)`` returns its future, which is done."""
    monkeypatch.chdir(tmp_path)

    def start(name, **options):
        executor = HighThroughputExecutor(
            label="htex", image=name, max_workers=1, provider=DockerProvider(init_blocks=1, max_blocks=1)
        )
        with cnflow.load(Config(executors=[executor], **options)):
            future = version()
            future.exception()
        return future

    return start


def lock_command(*arguments):
    command = [sys.executable, "-m", "cnflow.cli", "lock", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.mark.timeout(300)
def test_a_tag_is_locked_moves_and_is_run_as_it_was(registries, publish, run, tmp_path, caplog, engine):
    name = registries.name()
    digest, identity = publish(name, "old")
    made = lock_command(name)
    assert made.returncode == 0, made.stderr
    (locked,) = read_lock(tmp_path / "cnflow.lock").images
    assert (locked.reference, locked.digest, locked.id) == (name, digest, identity)
    assert (locked.platform.split("/")[0], bool(locked.python), len(locked.packages)) == ("linux", True, 16)

    future = run(name)
    ran = future.provenance
    assert (future.result(), ran.image, ran.digest, ran.image_id) == ("old", name, digest, identity)
    assert (ran.python, ran.packages) == (locked.python, locked.packages)
    assert "has moved" not in caplog.text
    (recorded,) = read_lock(tmp_path / "runinfo" / "000" / "images.lock").images
    assert (recorded.digest, recorded.id) == (digest, identity)

    moved, _ = publish(name, "new")
    checked = lock_command("--check")
    assert (checked.returncode, checked.stdout.split()[0]) == (1, "moved")
    future = run(name)
    assert (future.result(), future.provenance.digest) == ("new", moved)
    assert f"image {name} has moved since cnflow.lock was written: locked is {digest}" in caplog.text

    engine.images.remove(identity, force=True)  # then only the registry has it
    future = run(name, locked=True)
    assert (future.result(), future.provenance.digest, future.provenance.image) == ("old", digest, name)
    assert lock_command().returncode == 0
    assert lock_command("--check").returncode == 0


def test_an_image_that_is_not_in_the_lock_is_refused_in_a_locked_run(registries, publish, run, tmp_path, image_base):
    made = lock_command("--file", str(tmp_path / "cnflow.lock"), image_base)
    assert made.returncode == 0, made.stderr
    future = run("cnflow-other:1", locked=True)
    assert isinstance(future.exception(), ImageLockError)
    assert "Image 'cnflow-other:1' is not in cnflow.lock" in str(future.exception())


def test_an_image_has_the_same_id_pulled_built_and_loaded(registries, publish, engine, capsule_cache):
    """Cache keys hold the id: that of a pushed image is the same on the machine that pulls it."""
    name = registries.name()
    _, identity = publish(name, "same")
    saved = b"".join(engine.images.get(name).save(named=True))
    provider = DockerBackend(DockerProvider(), cache_dir=capsule_cache)
    try:
        registries.forget(name)
        pulled = provider.prepare(Image(name))
        registries.forget(name)
        engine.images.load(saved)
        loaded = provider.prepare(Image(name))
    finally:
        provider.close()
    assert str(pulled) == str(loaded) == identity
    assert pulled.facts.packages == loaded.facts.packages
