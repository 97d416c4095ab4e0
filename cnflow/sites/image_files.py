"""Image files of this machine: checks that a SIF or Docker archive is whole, and for which architecture.

Reads headers and tables of contents, not all of the content.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import struct
import tarfile
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.errors import ImageUnusableError
from cnflow.model.site_image import ImageForm

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SIF_MAGIC = b"SIF_MAGIC"
_HEADER = 128
# Layout and codes: https://github.com/sylabs/sif/blob/v2.20.0/pkg/sif/sif.go (header) and arch.go.
_ARCHITECTURES: Mapping[bytes, str] = {
    b"01": "386",
    b"02": "amd64",
    b"03": "arm",
    b"04": "arm64",
    b"05": "ppc64",
    b"06": "ppc64le",
    b"11": "s390x",
    b"12": "riscv64",
}
_HEX = re.compile(r"[0-9a-f]{64}")

MACHINES: Mapping[str, str] = {"x86_64": "amd64", "aarch64": "arm64", "i686": "386"}
"""Architectures of images by what ``uname -m`` calls them: https://go.dev/doc/install/source#environment (GOARCH)."""


class ImageFile(NamedTuple):
    """An image file of this machine."""

    path: Path
    form: ImageForm
    digest: str
    """Id of the image in a Docker archive, which is that in any engine; of a SIF the digest of its bytes."""

    architecture: str
    """As images name it, such as ``amd64``; empty if it is not known."""


def read_image_file(path: Path, form: ImageForm = ImageForm.NONE) -> ImageFile:
    """Look at an image file.

    Args:
        path: of the file.
        form: of which it shall be; `ImageForm.NONE` looks at its content.

    Raises:
        ImageUnusableError: it cannot be read, is neither SIF nor Docker archive, or is not whole.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER)
        is_sif = head[32 : 32 + len(_SIF_MAGIC)] == _SIF_MAGIC
        if form is ImageForm.SIF and not is_sif:
            raise ImageUnusableError(
                f"{path} is no SIF: its header is missing. It may be cut, or an older format: build it again by "
                f"apptainer build {path.name} docker://NAME."
            )
        return _read_sif(path, head) if is_sif else _read_archive(path)
    except OSError as error:
        raise ImageUnusableError(f"{path} cannot be read: {error.strerror or error}.") from error


def _read_sif(path: Path, head: bytes) -> ImageFile:
    size = path.stat().st_size
    if len(head) < _HEADER:
        raise _cut(path, size, _HEADER)
    descriptors, descriptors_size, data, data_size = struct.unpack_from("<qqqq", head, 96)
    whole = max(descriptors + descriptors_size, data + data_size)
    if size < whole:
        raise _cut(path, size, whole)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return ImageFile(path, ImageForm.SIF, f"sha256:{digest.hexdigest()}", _ARCHITECTURES.get(head[45:47], ""))


def _cut(path: Path, size: int, whole: int) -> ImageUnusableError:
    return ImageUnusableError(
        f"{path} is cut: it has {size} bytes, and its header names {whole}. Copy it again, or build it again."
    )


def _read_archive(path: Path) -> ImageFile:
    try:
        with tarfile.open(path) as tar:
            entry = manifest_of(tar)
            config_name = str(entry["Config"])
            config = _json_in(tar, config_name)
            names = set(tar.getnames())
    except (tarfile.TarError, KeyError, ValueError, EOFError, gzip.BadGzipFile, zlib.error, TypeError) as error:
        words = str(error).partition("\n")[0].rstrip(":.")
        raise ImageUnusableError(
            f"{path} is no whole Docker archive: {words}. Write it by: docker save NAME -o {path.name}"
        ) from error
    missing = [layer for layer in entry["Layers"] if layer not in names]
    if missing:
        raise ImageUnusableError(
            f"{path} is cut: its layer {missing[0]} is missing. Write it again by: docker save NAME -o {path.name}"
        )
    found = _HEX.search(config_name)
    digest = found[0] if found else hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
    return ImageFile(path, ImageForm.ARCHIVE, f"sha256:{digest}", str(config.get("architecture", "")))


def manifest_of(tar: tarfile.TarFile) -> Mapping[str, Any]:
    """The first image of a Docker archive: ``Config``, ``RepoTags`` and ``Layers``.

    Raises:
        ValueError, KeyError, TypeError: it is no such archive.
    """
    # https://github.com/moby/docker-image-spec/blob/main/spec.md#combined-image-json--filesystem-changeset-format
    listed = _json_in(tar, "manifest.json")
    if not isinstance(listed, list) or not listed:
        raise ValueError("its manifest.json names no image")
    first: Mapping[str, Any] = listed[0]
    return first


def config_of(tar: tarfile.TarFile) -> Mapping[str, Any]:
    """The configuration of the first image of a Docker archive, such as ``config.Env`` and ``architecture``."""
    config: Mapping[str, Any] = _json_in(tar, str(manifest_of(tar)["Config"]))
    return config


def _json_in(tar: tarfile.TarFile, name: str) -> Any:  # noqa: ANN401 - JSON
    file = tar.extractfile(name)
    if file is None:
        raise ValueError(f"its {name} is no file")
    return json.load(file)
