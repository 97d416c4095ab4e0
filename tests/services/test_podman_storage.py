"""A Podman of the test's own, whose storage is as small as the test makes it."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from cnflow.config import DockerProvider
from cnflow.errors import ImagePullError
from cnflow.model.image import Image
from cnflow.providers.docker.provider import DockerBackend

pytestmark = [pytest.mark.podman, pytest.mark.root, pytest.mark.registry, pytest.mark.timeout(120)]


@pytest.fixture
def small_podman(registries):
    """Address of a Podman that keeps images in 8 MB of memory."""
    folder = Path(tempfile.mkdtemp(prefix="cnflow-"))  # Podman wants a path of at most 50 characters
    storage = folder / "storage"
    storage.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", storage], check=True)
    (folder / "podman.conf").write_text('[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n')
    (folder / "registries.conf").write_text(f'[[registry]]\nlocation = "{registries.plain}"\ninsecure = true\n')
    socket = folder / "podman.sock"
    options = [
        "--root",
        storage / "root",
        "--runroot",
        folder / "run",
        "--tmpdir",
        storage,
        "--storage-driver",
        "vfs",
    ]
    service = subprocess.Popen(
        ["podman", *options, "system", "service", "--time=0", f"unix://{socket}"],
        cwd=folder,
        env={
            **os.environ,
            "TMPDIR": str(storage),
            "CONTAINERS_CONF": str(folder / "podman.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(folder / "registries.conf"),
        },
    )
    try:
        while not socket.exists():
            assert service.poll() is None
            time.sleep(0.05)
        yield f"unix://{socket}"
    finally:
        service.terminate()
        service.wait()
        subprocess.run(["umount", "--lazy", storage], check=True)
        shutil.rmtree(folder)


def test_full_disk_of_the_engine_while_pulling_is_an_error_that_names_image_and_disk(
    small_podman, registries, tmp_path
):
    name = registries.name()
    registries.publish(name, content=os.urandom(32 * 2**20))
    provider = DockerBackend(DockerProvider(host=small_podman, engine="podman"), cache_dir=tmp_path / "cache")
    try:
        with pytest.raises(ImagePullError, match="no space left on device") as caught:
            provider.prepare(Image(name))
    finally:
        provider.close()
    assert f"Image {name!r} cannot be used: the engine's disk is full." in str(caught.value)
    assert "Free some of it" in str(caught.value)
