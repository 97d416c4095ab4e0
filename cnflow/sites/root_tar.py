"""Makes the tar of a root file system from a Docker archive: what its layers give, one upon the other.

::

    top layer ──> every file of it ──────────────> root.tar      .wh.NAME hides NAME of the layers below it,
    next one  ──> what no layer above has or hides ──> root.tar  .wh..wh..opq all of its folder there

The variables of the image go to ``ch/environment``, which Charliecloud reads, and are returned.
"""

from __future__ import annotations

import copy
import io
import tarfile
from typing import IO, TYPE_CHECKING

from cnflow.sites.image_files import config_of, manifest_of

if TYPE_CHECKING:
    from pathlib import Path

# https://github.com/opencontainers/image-spec/blob/v1.1.0/layer.md#whiteouts
_HIDDEN = ".wh."
_OPAQUE = ".wh..wh..opq"


def write_root_tar(archive: Path, target: IO[bytes]) -> list[str]:
    """Write the root file system of the Docker archive *archive* to *target*; return the image's variables.

    Devices are left out: only root could make them, and a container gets its own.
    """
    with tarfile.open(archive) as tar, tarfile.open(fileobj=target, mode="w|", format=tarfile.PAX_FORMAT) as root:
        layers = [str(layer) for layer in manifest_of(tar)["Layers"]]
        variables = [str(line) for line in (config_of(tar).get("config") or {}).get("Env") or ()]
        writer = _RootWriter(root)
        for layer in reversed(layers):
            file = tar.extractfile(layer)
            if file is None:
                raise ValueError(f"the layer {layer} is no file")
            with tarfile.open(fileobj=file) as members:
                writer.add_layer(members)
        writer.add_text("ch/environment", "".join(f"{line}\n" for line in variables))
    return variables


class _RootWriter:
    """Adds layers from the top down.

    Args:
        root: open for writing.
    """

    def __init__(self, root: tarfile.TarFile) -> None:
        self._root = root
        self._taken: set[str] = set()
        self._files: set[str] = set()
        self._hidden: set[str] = set()

    def add_layer(self, layer: tarfile.TarFile) -> None:
        hidden: set[str] = set()
        taken: set[str] = set()
        files: set[str] = set()
        for member in layer:
            path = member.name.removeprefix("./").strip("/")
            folder, _, name = path.rpartition("/")
            if name == _OPAQUE:
                hidden.add(f"{folder}/")
            elif name.startswith(_HIDDEN):
                hidden.add(f"{folder}/{name[len(_HIDDEN) :]}".lstrip("/"))
            elif path and path not in self._taken and not self._is_below(path) and not member.isdev():
                taken.add(path)
                if not member.isdir():
                    files.add(path)
                self._add(layer, member, path)
        self._hidden |= hidden
        self._taken |= taken
        self._files |= files

    def _is_below(self, path: str) -> bool:
        """Return whether a layer above has hidden *path*, or has a file where one of its folders is."""
        if path in self._hidden:
            return True
        parts = path.split("/")
        folders = ["/".join(parts[:count]) for count in range(1, len(parts))]
        return any(
            folder in self._hidden or f"{folder}/" in self._hidden or folder in self._files for folder in folders
        )

    def _add(self, layer: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        content: IO[bytes] | None = None
        if member.islnk():
            target = member.linkname.removeprefix("./").strip("/")
            if target in self._taken or self._is_below(target):  # the link's content is that of this layer
                content = layer.extractfile(member)
                size = layer.getmember(member.linkname).size
                member = copy.copy(member)
                member.type, member.linkname, member.size = tarfile.REGTYPE, "", size
            else:
                member.linkname = target
        elif member.isreg():
            content = layer.extractfile(member)
        member.name = path
        self._root.addfile(member, content)

    def add_text(self, path: str, text: str) -> None:
        content = text.encode()
        member = tarfile.TarInfo(path)
        member.size, member.mode = len(content), 0o644
        self._root.addfile(member, io.BytesIO(content))
