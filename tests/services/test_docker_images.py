"""Finding, pulling and probing images on a real engine, and their capsules."""

import io
import json
import shutil
import tarfile
import uuid
from dataclasses import replace

import msgspec
import pytest

from cnflow.capsule import MARKER_NAME, tag_of
from cnflow.config import DockerProvider
from cnflow.errors import BlockRejectedError, ImageNotFoundError, ImageUnusableError
from cnflow.model.image import Image
from cnflow.providers.docker.provider import DockerBackend
from cnflow.testing.contracts.provider import submit_one

pytestmark = pytest.mark.docker


@pytest.fixture
def name(engine):
    """A name for an image that is removed at the end."""
    tag = f"cnflow-test-{uuid.uuid4().hex[:8]}:1"
    yield tag
    if engine.images.list(name=tag):
        engine.images.remove(tag, force=True)  # by its name: the content may be the base image's


@pytest.fixture
def blocks(capsule_cache):
    made = []

    def make(**settings):
        made.append(DockerBackend(DockerProvider(**settings), cache_dir=capsule_cache))
        return made[-1]

    yield make
    for provider in made:
        provider.close()


def build(engine, name, dockerfile):
    engine.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag=name, rm=True, forcerm=True)
    return name


def text_of(log_file):
    return log_file.read_text() if log_file.exists() else ""


def pack(files):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(content), 0o755
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()


def test_prepare_returns_the_id_of_the_image(blocks, engine, image_base):
    assert blocks().prepare(Image(image_base)) == engine.images.get(image_base).id


def test_a_probe_is_cached(blocks, image_base, monkeypatch):
    blocks().prepare(Image(image_base))
    monkeypatch.setattr("cnflow.providers.docker.images.run_to_its_end", None)
    blocks().prepare(Image(image_base))


def test_an_image_whose_python_fails_is_reported_in_its_own_words(blocks, engine, name, image_base):
    dockerfile = f"FROM {image_base}\nRUN mkdir /b && printf '#!/bin/sh\\necho broken >&2; exit 4' >/b/python3"
    build(engine, name, f"{dockerfile} && chmod 755 /b/python3 && cp /b/python3 /b/python\nENV PATH=/b:/usr/bin:/bin\n")
    with pytest.raises(ImageUnusableError, match="python3: broken"):
        blocks().prepare(Image(name))


def test_an_image_that_was_not_found_is_reported_with_the_engines_words_and_the_nearest_name(
    blocks, engine, name, image_base
):
    engine.images.get(image_base).tag(*name.split(":"))
    with pytest.raises(ImageNotFoundError) as caught:
        blocks().prepare(Image(name.replace(":1", ":2")))
    assert f"Did you mean '{name}'" in str(caught.value)
    assert "Pulling it failed: " in str(caught.value)


def test_a_policy_of_never_pulling_is_named_in_the_error(blocks):
    with pytest.raises(ImageNotFoundError, match="not pulled, since pull='never'"):
        blocks(pull="never").prepare(Image("cnflow-no-such-image:1"))


def test_a_policy_of_always_pulling_does_not_use_what_is_here(blocks, engine, name, image_base):
    engine.images.get(image_base).tag(*name.split(":"))
    with pytest.raises(ImageNotFoundError, match="Pulling it failed"):
        blocks(pull="always").prepare(Image(name))
    assert blocks(pull="missing").prepare(Image(name)) == blocks(pull="never").prepare(Image(name))


def test_a_name_that_no_registry_could_have_is_refused(blocks):
    with pytest.raises(BlockRejectedError, match="invalid reference format"):
        blocks().prepare(Image("Not A Name"))


@pytest.mark.timeout(300)
def test_an_image_that_holds_its_capsule_needs_none_delivered(  # noqa: PLR0913, PLR0917 - fixtures
    blocks, engine, name, image_base, tmp_path, monkeypatch, until, request_for, capsule_cache, found_image
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    blocks().unpack_capsule(Image(image_base), tmp_path / "capsule")
    marker = json.loads((tmp_path / "capsule" / MARKER_NAME).read_text())
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        tar.add(tmp_path / "capsule", arcname="capsule")
        dockerfile = f"FROM {image_base}\nCOPY capsule/ /opt/cnflow/\n".encode()
        member = tarfile.TarInfo("Dockerfile")
        member.size = len(dockerfile)
        tar.addfile(member, io.BytesIO(dockerfile))
    context.seek(0)
    engine.images.build(fileobj=context, custom_context=True, tag=name, rm=True)
    found = found_image(name, capsule_cache)
    assert found.holds_capsule
    assert marker == {"tag": tag_of(found.kind)}
    request = request_for(name)
    request = replace(request, manager=msgspec.structs.replace(request.manager, address_probe_timeout=1.0))
    provider = blocks()
    block = submit_one(provider, request)
    top = engine.containers.get(block).attrs["Args"]
    until(lambda: "manager" in text_of(request.log_file))
    provider.cancel([block])
    assert any("/opt/cnflow/cnflow/manager/__main__.py" in argument for argument in top)


@pytest.mark.pythons
@pytest.mark.timeout(300)
@pytest.mark.parametrize("minor", ["3.9", "3.10", "3.11", "3.12", "3.13"])
def test_a_capsule_runs_on_each_real_python_in_a_container(  # noqa: PLR0913, PLR0917 - fixtures
    engine, name, image_base, minor, pythons, capsule_cache, tmp_path, until, request_for, fake_root
):
    from pathlib import Path

    home = Path(pythons[minor]).resolve().parent.parent
    image = build(engine, name, f"FROM {image_base}\nENV PATH={home}/bin:/usr/bin:/bin FAKE_MANAGER=import\n")

    def folder(kind, cache):
        """The real one, with the entry that reports in place of the manager."""
        from cnflow.capsule import capsule_folder

        copy = tmp_path / "capsule"
        shutil.copytree(capsule_folder(kind, cache), copy, dirs_exist_ok=True)
        shutil.copyfile(fake_root / "cnflow/manager/__main__.py", copy / "cnflow/manager/__main__.py")
        return copy

    root = "import sys; sys.path.insert(0, __file__.rsplit('/cnflow/', 1)[0])\n"
    entry = fake_root / "cnflow/manager/__main__.py"
    entry.write_text(root + entry.read_text())
    provider = DockerBackend(DockerProvider(mounts={str(home): f"{home}:ro"}), cache_dir=capsule_cache, folder=folder)
    request = request_for(image)
    block = submit_one(provider, request)
    try:
        said = until(lambda: (text := text_of(request.log_file)) and "imported" in text and text)
    finally:
        provider.cancel([block])
        provider.close()
    assert f'"version": "{minor}.' in said
    assert "imported /.cnflow/capsule/zmq/" in said
