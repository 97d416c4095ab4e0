"""Capsules for systems that deliver small pieces alone: one compressed archive, cut, and put together on the node.

::

    capsule_folder ── tar of format ustar, gzip ──> archive ── cut(archive, limit) ──> part-000, part-001, ...
                                                                                            │ delivered to a folder
    python3 -c UNPACK_SCRIPT PARTS ROOT ARGV... ── writes ROOT.HOST.PID, renames it to ROOT <┘
          └── executes ARGV, such as ROOT/cnflow/manager/__main__.py

Many pods may unpack to one folder that they share: the first that is ready gives it its name.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from cnflow.capsule.build import anonymous, capsule_folder, make_once

if TYPE_CHECKING:
    from cnflow.capsule.kinds import Kind

_LAUNCHERS = Path(__file__).parent / "launchers"

PART_PREFIX = "part-"
"""Start of the file names of parts, which sort in their order."""

_LEVEL = 6
"""Of gzip: 9 saves 1 % and takes three times as long."""

# For Python 3.9 and newer. Parses the tar itself: importing `tarfile` takes longer than all else that is done here.
# Offsets of the fields: https://www.gnu.org/software/tar/manual/html_node/Standard.html.
UNPACK_SCRIPT = """\
import os, sys, zlib
parts, root, argv = sys.argv[1], sys.argv[2], sys.argv[3:]
def number(field):
    return int(field.rstrip(b"\\0 ") or b"0", 8)
def write(path, content, mode):
    with open(path, "wb") as file:
        file.write(content)
    os.chmod(path, mode)
def unpack(data, folder):
    at = 0
    while data[at:at + 1] not in (b"", b"\\0"):
        head = data[at:at + 512]
        path = os.path.join(folder, *(part.split(b"\\0")[0].decode() for part in (head[345:500], head[:100])))
        size = number(head[124:136])
        if head[156:157] == b"5":
            os.makedirs(path, exist_ok=True)
        else:
            write(path, data[at + 512:at + 512 + size], number(head[100:108]))
        at += 512 + (size + 511) // 512 * 512
if not os.path.isdir(root):
    unzip = zlib.decompressobj(31)
    names = sorted(name for name in os.listdir(parts) if name.startswith("part-"))
    data = b"".join([unzip.decompress(open(os.path.join(parts, name), "rb").read()) for name in names])
    if not unzip.eof:
        sys.exit("cnflow: parts of its code are missing in %s, which has %s" % (parts, ", ".join(names) or "none"))
    draft = "%s.%s.%d" % (root, os.uname()[1], os.getpid())
    unpack(data, draft)
    try:
        os.rename(draft, root)
    except OSError:
        if not os.path.isdir(root):
            raise
os.execvp(argv[0], argv)
"""
"""Source for ``python3 -c``: unpacks a capsule unless that was done before, then executes a command."""


def capsule_archive(kind: Kind, cache_dir: Path | None = None) -> Path:
    """Return the file with the compressed capsule for *kind*; build it if the cache does not have it.

    Raises:
        CapsuleError: as for `capsule_folder`.
    """
    folder = capsule_folder(kind, cache_dir)

    def fill(target: Path) -> None:
        (target / "archive").write_bytes(compressed(folder))

    return make_once(folder.with_name(f"{folder.name}.gz.d"), fill) / "archive"


def unpacker(machine: str) -> bytes:
    """Return the static program that does what `UNPACK_SCRIPT` does, in images without a Python that could.

    Args:
        machine: architecture, as the kernel names it; one that a capsule can carry an interpreter for.
    """
    return (_LAUNCHERS / f"unpack-{machine}").read_bytes()


def compressed(folder: Path) -> bytes:
    """Return the files of *folder* as a compressed tar, in the oldest format with long names; the same each time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        tar.add(folder, arcname=".", filter=anonymous)
    return gzip.compress(buffer.getvalue(), _LEVEL, mtime=0)


def cut(archive: bytes, limit: int) -> dict[str, bytes]:
    """Return the parts of *archive*, at most *limit* bytes each, by their file names."""
    pieces = [archive[start : start + limit] for start in range(0, len(archive), limit)]
    return {f"{PART_PREFIX}{number:03}": piece for number, piece in enumerate(pieces)}


def unpack_argv(python: str, parts: str, root: str, command: tuple[str, ...]) -> tuple[str, ...]:
    """Return the command that unpacks a capsule and then runs *command*.

    Args:
        python: interpreter on the node, 3.9 or newer.
        parts: folder on the node with the parts.
        root: folder on the node that is made; nothing is done if it exists.
        command: executed by its path.
    """
    return (python, "-I", "-c", UNPACK_SCRIPT, parts, root, *command)
