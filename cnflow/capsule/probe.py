"""Probes an interpreter: a script for Python 2.7 and newer, and the value that its line of output is parsed to."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields

MARKED_ROOT = "/opt/cnflow"
"""Folder in which an image may contain a capsule, with `MARKER_NAME` in it."""

MARKER_NAME = "capsule.json"

IMAGE_USER = "CNFLOW_IMAGE_USER"
"""Environment variable of the script: the user of the image, where a container is run as another one."""

PROBE_SCRIPT = f"""\
import sys
sys.path = [p for p in sys.path if p]
import glob, json, os, platform

def musl():
    import subprocess
    for loader in glob.glob("/lib/ld-musl-*"):
        try:
            child = subprocess.Popen([loader], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            lines = child.communicate()[0].decode("ascii", "replace").splitlines()
            return "musl " + [line.split()[1] for line in lines if line.startswith("Version")][0]
        except Exception:
            return "musl"
    return ""

try:
    libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
except (AttributeError, ValueError, OSError):
    libc = musl()
try:
    with open("{MARKED_ROOT}/{MARKER_NAME}") as marker:
        tag = json.load(marker)["tag"]
except Exception:
    tag = ""

user_base = ""
user = os.environ.get("{IMAGE_USER}", "").split(":")[0]
if user and "PYTHONUSERBASE" not in os.environ:
    try:
        import pwd
        entry = pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
        if entry.pw_uid != os.getuid():
            user_base = entry.pw_dir.rstrip("/") + "/.local"
    except Exception:
        pass

def start(variables):
    import subprocess
    code = "import enum, pickle, socket, struct, subprocess, tempfile, threading"
    try:
        child = subprocess.Popen([sys.executable, "-c", code], env=variables, stdin=open(os.devnull),
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output = child.communicate()[0].decode("utf-8", "replace").strip()
    except Exception as error:
        return str(error)
    return (output[-400:] or "exit code %d" % child.returncode) if child.returncode else ""

def suspects():
    for name in sorted(os.environ):
        if name.startswith(("PYTHON", "LD_")):
            if not start(dict((n, v) for n, v in os.environ.items() if n != name)):
                yield name

trouble = start(dict(os.environ)) if sys.executable else ""
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
    "user_base": user_base,
    "trouble": trouble,
    "suspects": list(suspects()) if trouble else [],
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
    """E.g. ``glibc 2.36`` or ``musl 1.2.3``; empty if it is unknown."""

    executable: str
    """Path of the interpreter in its image; empty if it is unknown."""

    uid: int = 0
    gid: int = 0
    bits: int = 64
    abiflags: str = ""
    """Contains ``t`` for a build without the global interpreter lock, which needs other wheels."""

    capsule: str = ""
    """Tag of the capsule that the image contains in `MARKED_ROOT`; empty if there is none."""

    user_base: str = ""
    """Folder of the packages that the image's user has installed for itself; empty where it runs the container."""

    trouble: str = ""
    """Words of the interpreter if it does not start with its environment, as workers do; the probe ignores that."""

    suspects: tuple[str, ...] = ()
    """Variables of the environment without any one of which the interpreter starts."""

    is_carried: bool = False
    """The image has no Python: this is the driver's own, which the capsule carries."""

    @property
    def minor(self) -> tuple[int, ...]:
        """Minor version, e.g. ``(3, 11)``."""
        return tuple(int(part) for part in self.version.split(".")[:2] if part)

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
        values = {name: value for name, value in parsed.items() if name in known}
        return Probe(**{**values, "suspects": tuple(values.get("suspects", ()))})
    except (ValueError, TypeError, AttributeError):
        return None
