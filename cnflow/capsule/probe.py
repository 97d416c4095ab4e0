"""What an interpreter says of itself: a script for any Python from 2.7 on, and the value that its one line becomes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields

MARKED_ROOT = "/opt/cnflow"
"""Where an image may hold a capsule of its own, with `MARKER_NAME` in it."""

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
"""Source that prints one line of JSON about the interpreter that runs it; needs nothing but its standard library."""

PROBE_OPTIONS = ("-E", "-s", "-c", PROBE_SCRIPT)
"""Options to give an interpreter so that neither its environment nor its user's packages change the answer.

``-I`` would be the word for it, but Python 2 has no such option and is to be told from no Python at all.
"""


@dataclass(frozen=True)
class Probe:
    """What one interpreter said of itself."""

    version: str
    """Three numbers, e.g. ``3.11.7``."""

    implementation: str
    """E.g. ``CPython``."""

    machine: str
    """As the kernel names it, e.g. ``x86_64``."""

    libc: str
    """E.g. ``glibc 2.36`` or ``musl``; empty where it could not be told."""

    executable: str
    """Path of the interpreter, where it runs; empty where it does not know."""

    uid: int = 0
    gid: int = 0
    bits: int = 64
    abiflags: str = ""
    """``t`` is a build without the global interpreter lock, which takes other wheels."""

    capsule: str = ""
    """Tag of the capsule that the image holds in `MARKED_ROOT`; empty when it holds none."""

    def __str__(self) -> str:
        narrow = "" if self.bits == 64 else f" ({self.bits}-bit)"  # noqa: PLR2004 - bits of a pointer
        free = " without the global interpreter lock" if "t" in self.abiflags else ""
        python = "Python" if self.implementation == "CPython" else f"{self.implementation} for Python"
        return f"{python} {self.version}{free} on {self.machine}{narrow} with {self.libc or 'an unknown C library'}"

    def to_json(self) -> str:
        """For `parse_probe`."""
        return json.dumps(asdict(self))


def parse_probe(output: str) -> Probe | None:
    """The value in the last line of *output* that holds one; None when none does.

    What else an interpreter prints at start (warnings, a site's greeting) is passed over.
    """
    return next((probe for line in reversed(output.splitlines()) if (probe := _parse_line(line)) is not None), None)


def _parse_line(line: str) -> Probe | None:
    known = {field.name for field in fields(Probe)}
    try:
        said = json.loads(line)
        return Probe(**{name: value for name, value in said.items() if name in known})
    except (ValueError, TypeError, AttributeError):
        return None
