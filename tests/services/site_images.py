"""Images in the forms that runtimes of sites take, made once per machine from those of the Docker engine."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from cnflow.model.site_image import ImageForm, SiteImage

STATE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cnflow" / "services" / "images"


def site_image(engine, name, form):
    """Return the image *name* of the Docker engine as a `SiteImage` in *form*."""
    digest = engine.images.get(name).id
    path = STATE / f"{digest.removeprefix('sha256:')[:16]}{_SUFFIXES[form]}"
    STATE.mkdir(parents=True, exist_ok=True)
    with (STATE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            with tempfile.TemporaryDirectory(dir=STATE) as scratch:
                made = Path(scratch) / "made"
                _MAKERS[form](engine, name, made)
                made.rename(path)
    return SiteImage(name, form, str(path), digest)


def _archive(_engine, name, into):
    subprocess.run(["docker", "save", "-o", into, name], check=True, capture_output=True)


def _folder(engine, name, into):
    """Unpack the files of a container, as Charliecloud's ch-convert does."""
    container = engine.containers.create(name, ["true"])
    try:
        into.mkdir()
        with subprocess.Popen(["tar", "-x", "-C", into], stdin=subprocess.PIPE) as tar:
            for part in container.export():
                tar.stdin.write(part)
            tar.stdin.close()
        assert tar.returncode == 0
    finally:
        container.remove()


def _sif(engine, name, into):
    folder = into.with_name("folder")
    _folder(engine, name, folder)
    quick = "-comp gzip -Xcompression-level 1"
    command = ["apptainer", "-s", "build", "--mksquashfs-args", quick, f"{into}.sif", folder]
    subprocess.run(command, check=True, capture_output=True)
    Path(f"{into}.sif").rename(into)
    shutil.rmtree(folder)


_SUFFIXES = {ImageForm.ARCHIVE: ".tar", ImageForm.FOLDER: "", ImageForm.SIF: ".sif"}
_MAKERS = {ImageForm.ARCHIVE: _archive, ImageForm.FOLDER: _folder, ImageForm.SIF: _sif}
