"""What is in an image besides the Python that workers run on: a script for Python 2.7 and newer, and its result.

::

    SURVEY_SCRIPT, after the probe's, in the same process ──> one line of JSON ──parse_survey──> Survey
                                                                                                   │
    configuration of the image: ENTRYPOINT, CMD, USER, WORKDIR ──────────────────────┐             │
    `Image`: gpus, user, mounts, ... ────────────────────────────────────────────────┴─ findings ──┴──> [Finding]

A finding is something that will not work, or not as expected, and what to do: known before the first block.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from cnflow.model.finding import Finding, Verdict
from cnflow.model.image_options import KEPT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.capsule.probe import Probe
    from cnflow.model.image import Image

FEWEST_FILES = 64
"""Open files below which a manager or a worker cannot open what it needs: connections, pipes, modules."""

SURVEY_SCRIPT = r"""
import re

def first(paths):
    for path in paths:
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    return ""

def found_in_path(name):
    folders = os.environ.get("PATH", "").split(":") + ["/bin", "/usr/bin", "/usr/local/bin"]
    return first(os.path.join(folder, name) for folder in folders if folder)

def pythons():
    import subprocess
    folders = os.environ.get("PATH", "").split(":")
    folders += ["/usr/local/bin", "/usr/bin", "/opt/*/bin", "/opt/*/envs/*/bin", "/root/.pyenv/versions/*/bin"]
    paths = [sys.executable] if sys.executable else []
    for folder in folders:
        for path in sorted(glob.glob(folder + "/python3*") + glob.glob(folder + "/python") if folder else []):
            if re.match(r"python(3(\.\d+)?t?)?$", os.path.basename(path)) and os.access(path, os.X_OK):
                paths.append(path)
    seen, listed = set(), []
    for path in paths:
        real = os.path.realpath(path)
        if real in seen or len(listed) >= 20:
            continue
        seen.add(real)
        code = "import sys, platform as p; print('%d.%d.%d ' % sys.version_info[:3] + p.python_implementation())"
        try:
            child = subprocess.Popen([path, "-E", "-s", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            words = child.communicate()[0].decode("utf-8", "replace").split()
        except Exception:
            continue
        if child.returncode == 0 and len(words) == 2:
            listed.append([words[0], path, words[1]])
    return listed

def packages():
    listed = {}
    for folder in sys.path:
        try:
            entries = sorted(os.listdir(folder))
        except OSError:
            continue
        for entry in entries:
            record = re.match(r"([A-Za-z0-9._]+)-([^-]+)(-py[0-9.]+)?\.(dist|egg)-info$", entry)
            if record:
                listed.setdefault(re.sub(r"[-_.]+", "-", record.group(1)).lower(), record.group(2))
    return listed

def user_name():
    try:
        import pwd
        return pwd.getpwuid(os.getuid()).pw_name
    except Exception:
        return ""

def can_write(folder):
    return bool(folder) and os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)

def system():
    try:
        with open("/etc/os-release") as lines:
            named = dict(line.rstrip("\n").split("=", 1) for line in lines if "=" in line)
        return named.get("PRETTY_NAME", "").strip("\"'")
    except Exception:
        return ""

def libraries(name):
    places = ["/usr/lib/*-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/cuda*/lib64", "/opt/*/lib"]
    listed = [path for place in places for path in sorted(glob.glob(place + "/" + name + "*"))]
    return listed[0] if listed else ""

def cuda():
    try:
        with open("/usr/local/cuda/version.json") as file:
            return json.load(file)["cuda"]["version"]
    except Exception:
        pass
    record = re.search(r"libcudart\.so\.([0-9][0-9.]*)", libraries("libcudart.so."))
    return os.environ.get("CUDA_VERSION", "") or (record.group(1) if record else "")

def open_files():
    try:
        import resource
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    except Exception:
        return -1

home = os.path.expanduser("~")
temporary = [os.environ.get("TMPDIR"), "/tmp", "/var/tmp", os.getcwd()]
print(json.dumps({"survey": {
    "pythons": pythons(),
    "packages": packages(),
    "system": system(),
    "user": user_name(),
    "home": home if home != "~" else "",
    "can_write_home": can_write(home),
    "can_write_temporary": any(can_write(folder) for folder in temporary),
    "shell": found_in_path("bash") or found_in_path("sh"),
    "libcuda": libraries("libcuda.so"),
    "cuda": cuda(),
    "rocm": os.path.realpath("/opt/rocm") if os.path.isdir("/opt/rocm") else "",
    "open_files": open_files(),
}}))
"""
"""Source that prints one line of JSON about the image; uses the imports of the probe's script, which runs before it."""


@dataclass(frozen=True)
class FoundPython:
    """An interpreter in an image."""

    version: str
    path: str
    implementation: str


@dataclass(frozen=True)
class Survey:
    """Content of an image, as its containers see it."""

    pythons: tuple[FoundPython, ...] = ()
    """That which workers run on first; then others in its PATH and in usual folders."""

    packages: Mapping[str, str] = field(default_factory=dict)
    """Name, in lower case with ``-``, and version of each package of the first Python."""

    system: str = ""
    """Name of its distribution; empty if it is unknown."""

    user: str = ""
    """Name of the user of its containers; empty for one without an entry in ``/etc/passwd``."""

    home: str = ""
    can_write_home: bool = True
    can_write_temporary: bool = True
    shell: str = ""
    """Path of bash, or else of sh; empty if it has neither."""

    libcuda: str = ""
    """Path of the driver's library for NVIDIA GPUs, which an engine brings into containers that get GPUs."""

    cuda: str = ""
    """Version of the CUDA runtime, by its files; empty if there is none outside of Python packages."""

    rocm: str = ""
    """Folder of the runtime for AMD GPUs."""

    open_files: int = -1
    """Soft limit of open files; -1 for none, or not known."""

    def to_json(self) -> str:
        """Encode the survey as `parse_survey` reads it."""
        values = asdict(self)
        return json.dumps({"survey": {**values, "pythons": [list(each.values()) for each in values["pythons"]]}})


@dataclass(frozen=True)
class ImageConfig:
    """Configuration that an image carries, with the options of an `Image` in its place."""

    user: str = ""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    working_dir: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    architecture: str = ""
    """As the kernel names it, e.g. ``x86_64``."""

    @classmethod
    def of(cls, config: Mapping[str, Any], architecture: str = "") -> ImageConfig:
        """Parse the configuration of an OCI image.

        https://github.com/opencontainers/image-spec/blob/main/config.md#properties
        """
        lines = (str(line).partition("=") for line in config.get("Env") or ())
        return cls(
            str(config.get("User") or ""),
            _words(config.get("Entrypoint")),
            _words(config.get("Cmd")),
            str(config.get("WorkingDir") or ""),
            {name: value for name, _, value in lines},
            {"amd64": "x86_64", "arm64": "aarch64"}.get(architecture, architecture),
        )


@dataclass(frozen=True)
class ImageReport:
    """All that is known of an image before its first block."""

    reference: str
    digest: str
    """Its id, which stands for its content."""

    config: ImageConfig
    probe: Probe
    """Of the Python that workers run on."""

    capsule: str
    """Kind of the capsule that a manager in it runs from."""

    survey: Survey
    findings: tuple[Finding, ...]


def parse_survey(output: str) -> Survey | None:
    """Return the survey in the last line of *output* that contains one; None if no line does."""
    return next((found for line in reversed(output.splitlines()) if (found := _parse_line(line)) is not None), None)


def findings(survey: Survey, config: ImageConfig, image: Image) -> list[Finding]:
    """Return what of *image* will not work, or not as the user may expect, with what to do; none if all is well."""
    name = f"image {image.name!r}"
    found: list[Finding] = []
    if not survey.shell:
        words = "it has no shell: bash apps run only commands that are one program with plain arguments"
        found.append(Finding(name, Verdict.ABSENT, words, "Install bash in the image."))
    if not survey.can_write_temporary:
        words = f"its user {_user(survey, config, image)} can write to no folder for temporary files"
        found.append(Finding(name, Verdict.BAD, words, f"Give it one: {_example(image, 'mounts', _TEMPORARY)}."))
    if not survey.can_write_home:
        place = f"cannot write to its home folder {survey.home!r}" if survey.home else "has no home folder"
        words = f"its user {_user(survey, config, image)} {place}: tasks get a HOME for temporary files"
        advice = f"To choose another: {_example(image, 'environment', _HOME)}, or another user=."
        found.append(Finding(name, Verdict.ABSENT, words, advice))
    if 0 <= survey.open_files < FEWEST_FILES:
        words = f"its limit of open files is {survey.open_files}, and workers need at least {FEWEST_FILES}"
        advice = f"Raise it: {_example(image, 'ulimits', {'nofile': 1024})}."
        found.append(Finding(name, Verdict.BAD, words, advice))
    if config.entrypoint and image.entrypoint != KEPT:
        words = f"its ENTRYPOINT {list(config.entrypoint)} does not run: cnflow's command takes its place"
        advice = f"If it sets up what the code needs: {_example(image, 'entrypoint', KEPT)}."
        found.append(Finding(name, Verdict.ABSENT, words, advice))
    return found


_TEMPORARY = [{"kind": "tmpfs", "target": "/tmp"}]  # noqa: S108 - in a container
_HOME = {"HOME": "/tmp"}  # noqa: S108 - the same


def _user(survey: Survey, config: ImageConfig, image: Image) -> str:
    return repr(survey.user or image.user or config.user or "without a name")


def _example(image: Image, name: str, value: object) -> str:
    return f"Image({image.name!r}, {name}={value!r})"


def _words(value: str | Sequence[str] | None) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(map(str, value or ()))


def _parse_line(line: str) -> Survey | None:
    known = {each.name for each in fields(Survey)}
    try:
        parsed = json.loads(line)["survey"]
        values = {name: value for name, value in parsed.items() if name in known}
        pythons = tuple(FoundPython(*each) for each in values.pop("pythons", ()))
        return Survey(pythons=pythons, **values)
    except (ValueError, TypeError, AttributeError, KeyError):
        return None
