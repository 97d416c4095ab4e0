"""Finds the shared libraries of a program: its dynamic loader, and what that loader would load.

::

    ELF file ──interpreter_of──> its loader, e.g. /lib64/ld-linux-x86-64.so.2
                                    └── run with --list FILE ──> lines "name => path" ──parse_list──> Linked
"""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

# Sizes and offsets of 64-bit little-endian ELF: https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.pheader.html
_MAGIC = b"\x7fELF\x02\x01"
_HEADER, _PROGRAM_HEADERS, _COUNTS = 64, 32, 54
_PT_INTERP = 3

_FOUND = re.compile(r"^\s*(?:(\S+) => )?(/.*?)(?: \(0x[0-9a-f]+\))?$")
_NOT_FOUND = re.compile(r"(\S+) => not found|^.*?: ([^:\s]+): cannot open shared object file")

# Loaded by glibc on first use, so that no file names them: look-ups of users and hosts (before 2.34), ends of threads.
_BY_NAME = ("libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2", "libgcc_s.so.1")


class Linked(NamedTuple):
    """Libraries of one program or library."""

    found: dict[str, Path]
    """Path of each, by the name under which it is wanted."""

    missing: tuple[str, ...] = ()


def interpreter_of(program: bytes) -> str:
    """Return the path of the loader that an ELF program names; empty for one that is linked statically, or no ELF.

    Args:
        program: content of the file.
    """
    if not program.startswith(_MAGIC) or len(program) < _HEADER:
        return ""
    (table,) = struct.unpack_from("<Q", program, _PROGRAM_HEADERS)
    size, count = struct.unpack_from("<HH", program, _COUNTS)
    for position in range(table, table + size * count, size or 1):
        if position + size > len(program):
            break
        kind, _, start = struct.unpack_from("<IIQ", program, position)
        (length,) = struct.unpack_from("<Q", program, position + 32)
        if kind == _PT_INTERP:
            return program[start : start + length].rstrip(b"\0").decode(errors="replace")
    return ""


def parse_list(output: str) -> Linked:
    """Return what ``ld.so --list`` printed about a file; lines for the kernel's own library have no path."""
    found = {}
    missing = []
    for line in output.splitlines():
        if lost := _NOT_FOUND.search(line):
            missing.append(lost[1] or lost[2])
        elif there := _FOUND.match(line):
            path = Path(there[2])
            found[there[1].rpartition("/")[2] if there[1] else path.name] = path
    return Linked(found, tuple(missing))


def libraries_of(loader: str, file: Path) -> Linked:
    """Ask *loader* which libraries it would load for *file*, a program or a library.

    Raises:
        OSError: *loader* cannot be run.
    """
    done = subprocess.run([loader, "--list", str(file)], capture_output=True, text=True, check=False, errors="replace")
    linked = parse_list(done.stdout + done.stderr)
    if done.returncode and not linked.missing and "statically linked" not in done.stdout + done.stderr:
        return Linked({}, (done.stderr.strip() or f"{loader} --list {file} exited with {done.returncode}",))
    return linked


def loaded_by_name(libraries: Iterable[Path]) -> dict[str, Path]:
    """Return the libraries beside those of *libraries* that the C library loads by name on first use."""
    folders = dict.fromkeys(path.parent for path in libraries)
    found = ((name, folder / name) for folder in folders for name in _BY_NAME)
    return {name: path for name, path in found if path.is_file()}
