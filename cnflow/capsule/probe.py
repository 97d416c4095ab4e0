"""Probes an interpreter: a script for Python 2.7 and newer, and the value that its line of output is parsed to."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields

MARKED_ROOT = "/opt/cnflow"
"""Folder in which an image may contain a capsule, with `MARKER_NAME` in it."""

MARKER_NAME = "capsule.json"

PROBE_SCRIPT = f"""\
import sys
sys.path = [p for p in sys.path if p]
import glob, json, os, platform
try:
    libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
except (AttributeError, ValueError, OSError):
    libc = "musl" if glob.glob("/lib/ld-musl-*") else ""
try:
    with open("{MARKED_ROOT}/{MARKER_NAME}") as marker:
        tag = json.load(marker)["tag"]
except Exception:
    tag = ""
print(json.dumps({{
    "version": ".".join(str(n) for n in sys.version_info[:3]),
    "implementation": platform.python_implementation(),
    "machine": os.uname()[4],
    "bits": 64 if sys.maxsize > 2 ** 32 else 32,
    "abiflags": getattr(sys, "abiflags", ""),
    "libc": libc,
    "executable": sys.executable or "",
    "uid": os.getuid(),
    "gid": os.getgid(),
    "capsule": tag,
}}))
"""
"""Source that prints one line of JSON about its interpreter; imports only the standard library."""

PROBE_OPTIONS = ("-E", "-s", "-c", PROBE_SCRIPT)
"""Options with which an interpreter runs the script, unaffected by the environment and by the user's packages.

``-I`` would be shorter, but Python 2 has no such option, and must be distinguished from no Python at all.
"""


@dataclass(frozen=True)
class Probe:
    """Properties of one interpreter."""

    version: str
    """Three numbers, e.g. ``3.11.7``."""

    implementation: str
    """E.g. ``CPython``."""

    machine: str
    """Architecture, as the kernel names it, e.g. ``x86_64``."""

    libc: str
    """E.g. ``glibc 2.36`` or ``musl``; empty if it is unknown."""

    executable: str
    """Path of the interpreter in its image; empty if it is unknown."""

    uid: int = 0
    gid: int = 0
    bits: int = 64
    abiflags: str = ""
    """Contains ``t`` for a build without the global interpreter lock, which needs other wheels."""

    capsule: str = ""
    """Tag of the capsule that the image contains in `MARKED_ROOT`; empty if there is none."""

    def __str__(self) -> str:
        narrow = "" if self.bits == 64 else f" ({self.bits}-bit)"  # noqa: PLR2004 - bits of a pointer
        free = " without the global interpreter lock" if "t" in self.abiflags else ""
        python = "Python" if self.implementation == "CPython" else f"{self.implementation} for Python"
        return f"{python} {self.version}{free} on {self.machine}{narrow} with {self.libc or 'an unknown C library'}"

    def to_json(self) -> str:
        """Encode the probe as `parse_probe` reads it."""
        return json.dumps(asdict(self))


def parse_probe(output: str) -> Probe | None:
    """Return the probe in the last line of *output* that contains one; None if no line does.

    Other lines, such as warnings and greetings of a site, are skipped.
    """
    return next((probe for line in reversed(output.splitlines()) if (probe := _parse_line(line)) is not None), None)


def _parse_line(line: str) -> Probe | None:
    known = {field.name for field in fields(Probe)}
    try:
        parsed = json.loads(line)
        return Probe(**{name: value for name, value in parsed.items() if name in known})
    except (ValueError, TypeError, AttributeError):
        return None
