"""Compiles a recipe to a Dockerfile. No I/O.

::

    steps ── compile_steps ──> one `Compiled` each: instructions, files that they copy, secrets
    start + all of them ── dockerfile_text ──> Dockerfile for one call of a builder

The classic builder has no secrets: a step with some is then left out of the Dockerfile, and run in a container of its
own between two of them (`cnflow.images.segments`).
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnflow.model import image_recipe as recipe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COPIED = ".cnflow-copied"
"""Folder of the context for files of steps; step number 3 has ``.cnflow-copied/3``."""

SECRETS = "/run/secrets"
"""Folder of secrets in the container, as BuildKit has it."""

_PIP = "PIP_NO_CACHE_DIR=1 PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1"
_PIP_FILES = {"pip.conf": "PIP_CONFIG_FILE", "pip.crt": "PIP_CERT", "netrc": "NETRC"}
"""Variables by which pip finds files that are secrets: https://pip.pypa.io/en/stable/topics/configuration/."""

_SHELL_FORM = re.compile(r"(?![-\[])(?!.*<<)[^\n]*[^\\\n]")
"""Commands that no builder could take for anything else when they stand behind RUN as they are."""

REQUIREMENTS = "requirements.txt"
"""Name of the file of requirements among the copied files of its step."""


@dataclass(frozen=True)
class Compiled:
    """One step of a recipe, as instructions."""

    title: str
    """The step as the user wrote it, for messages."""

    before: tuple[str, ...] = ()
    """Instructions without secrets that come first, such as COPY."""

    command: str = ""
    """Shell command of its RUN; empty if it has none."""

    secrets: tuple[str, ...] = ()
    """Names of secrets, files, that the command has in `SECRETS`."""

    variables: tuple[str, ...] = ()
    """Those of them that the command also has as variables."""

    @property
    def shell(self) -> str:
        """Command that reads variables from secrets and then runs the step's."""
        exports = [f'export {name}="$(cat {SECRETS}/{name})"' for name in self.variables]
        return ("\n" if "\n" in self.command else " && ").join([*exports, self.command])

    @property
    def argv(self) -> tuple[str, ...]:
        """Command line of `shell`; a script of several lines ends at the first failure."""
        return ("/bin/sh", "-ec" if "\n" in self.command else "-c", self.shell)

    def run(self) -> str:
        """RUN instruction, for BuildKit if there are secrets."""
        mounts = [f"--mount=type=secret,id={name},required=true,mode=0444" for name in self.secrets]
        if _SHELL_FORM.fullmatch(self.shell):
            return " ".join(["RUN", *mounts, self.shell])
        return " ".join(["RUN", *mounts, json.dumps(self.argv)])

    def instructions(self) -> tuple[str, ...]:
        """All instructions of the step."""
        return (*self.before, self.run()) if self.command else self.before


def compile_step(step: recipe.RecipeStep, number: int, copied_file: str = "") -> Compiled:
    """Return the instructions of a step.

    Args:
        step: of a recipe.
        number: its place there.
        copied_file: name in the context of the one file that it copies; empty where it copies a folder, or nothing.
    """
    secrets = step.named_secrets
    names = tuple(secrets)
    variables = tuple(name for name, secret in secrets.items() if recipe.variable_of(name, secret))
    before, command = _before_and_command(step, f"{COPIED}/{number}", names)
    if isinstance(step, recipe.CopyLocal):
        before = (_copy_of(f"{COPIED}/{number}/", step.to, copied_file),)
    return Compiled(title_of(step), before, command, names, variables)


def is_plain_name(name: str) -> bool:
    """Return True if COPY takes a file's *name* as it is, and for no pattern."""
    return re.fullmatch(r"[\w.@+=-]+", name, re.ASCII) is not None


def _copy_of(folder: str, to: str, file: str) -> str:
    """Return COPY of one *file*, which goes into *to* if that is a folder in the image; or of all in *folder*."""
    if is_plain_name(file):
        return f"COPY {json.dumps([folder + file, to])}"
    target = to.rpartition("/")[0] if file else to.rstrip("/")
    return f"COPY {json.dumps([folder, f'{target}/'])}"


def title_of(step: recipe.RecipeStep) -> str:
    """``pip_install('numpy', 'scipy')``: a step as the user writes it."""
    match step:
        case recipe.PipInstall(pip_install=words) | recipe.AptInstall(apt_install=words):
            return f"{recipe.kind_of(step)}({', '.join(map(repr, words))})"
        case recipe.CopyLocal(copy_local=path, to=to):
            return f"copy_local({path!r}, {to!r})"
        case recipe.Env(env=env):
            return f"env({', '.join(f'{name}={value!r}' for name, value in env.items())})"
        case _:
            option = recipe.kind_of(step)
            return f"{option}({getattr(step, option)!r})"


def _before_and_command(step: recipe.RecipeStep, copied: str, secrets: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Return instructions without secrets, and the shell command that may have some."""
    before: tuple[str, ...] = ()
    command = ""
    match step:
        case recipe.PipInstall():
            command = _pip([*step.options, *step.pip_install], secrets)
        case recipe.Requirements():
            before, command = _installed_from(copied, step.options, secrets)
        case recipe.UvLock():
            before, command = _installed_from(copied, ("--no-deps",), secrets)
        case recipe.AptInstall():
            words = shlex.join(step.apt_install)
            install = f"DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends {words}"
            command = f"apt-get update && {install} && rm -rf /var/lib/apt/lists/*"
        case recipe.Env():
            before = tuple(f"ENV {name}={quoted(value)}" for name, value in step.env.items())
        case recipe.Run():
            command = step.run
        case recipe.Workdir():
            before = (f"WORKDIR {_word(step.workdir)}",)
        case recipe.User():
            before = (f"USER {_word(step.user)}",)
        case _:  # CopyLocal, whose instruction depends on what is copied
            pass
    return before, command


def _installed_from(copied: str, options: Sequence[str], secrets: Sequence[str]) -> tuple[tuple[str, ...], str]:
    folder = f"/tmp/{copied.replace('/', '-').lstrip('.')}"  # noqa: S108 - in the image, where nobody else is
    pip = _pip([*options, "--requirement", f"{folder}/{REQUIREMENTS}"], secrets)
    return (f"COPY {json.dumps([f'{copied}/', f'{folder}/'])}",), f"{pip} && rm -rf {folder}"


def _pip(words: Sequence[str], secrets: Sequence[str]) -> str:
    files = "".join(f"{_PIP_FILES[name]}={SECRETS}/{name} " for name in secrets if name in _PIP_FILES)
    return f"{files}{_PIP} python3 -m pip install {shlex.join(words)}"


def quoted(value: str) -> str:
    """Quote *value* for ENV and its like, so that nothing in it is replaced.

    https://docs.docker.com/reference/dockerfile/#environment-replacement
    """
    escaped = re.sub(r'([\\"$])', r"\\\1", value)
    return f'"{escaped}"'


def _word(value: str) -> str:
    return value if re.fullmatch(r"[\w/.:@+-]+", value) else quoted(value)


def dockerfile_text(start: str, steps: Sequence[Compiled]) -> str:
    """Return a Dockerfile: *start*, itself one or only its FROM, and the instructions of *steps*."""
    lines = [instruction for step in steps for instruction in step.instructions()]
    return "\n".join([start.rstrip("\n"), *lines, ""])


# The user's own Dockerfile

_FROM = re.compile(r"FROM\s+(?:--\S+\s+)*(?P<image>\S+)(?:\s+AS\s+(?P<stage>\S+))?", re.IGNORECASE)
_ARG = re.compile(r"ARG\s+(?P<name>\w+)(?:=(?P<value>\"[^\"]*\"|'[^']*'|\S*))?", re.IGNORECASE)
_BUILDKIT_ALONE = re.compile(
    r"RUN\s+(--\S+\s+)*--(mount|network|security)|(COPY|ADD)\s+(--\S+\s+)*--(link|chmod|parents)|(RUN|COPY)\s.*<<-?[\w\"']",
    re.IGNORECASE,
)
_REFERENCE = re.compile(r"\$(?:\{(?P<braced>\w+)(?::-(?P<default>[^}]*))?\}|(?P<bare>\w+))")


def bases_of(text: str, args: Mapping[str, str]) -> tuple[str, ...]:
    """Return the images that a Dockerfile starts from, besides its own stages and ``scratch``.

    Args:
        text: content of the Dockerfile.
        args: values given for its ``ARG``.
    """
    values: dict[str, str] = {}
    stages: set[str] = {"scratch"}
    found: list[str] = []
    has_begun = False
    for line in logical_lines(text):
        if not has_begun and (arg := _ARG.match(line)):
            values[arg["name"]] = args.get(arg["name"], (arg["value"] or "").strip("\"'"))
        elif begin := _FROM.match(line):
            has_begun = True
            image = _REFERENCE.sub(lambda one: _value_of(one, values), begin["image"])
            if image.lower() not in stages and image not in found:
                found.append(image)
            if begin["stage"]:
                stages.add(begin["stage"].lower())
    return tuple(found)


def needs_buildkit(text: str) -> bool:
    """Return True if a Dockerfile uses what the classic builder does not know."""
    return any(_BUILDKIT_ALONE.match(line) for line in logical_lines(text))


def logical_lines(text: str) -> list[str]:
    """Return the instructions of a Dockerfile, each in one line, without comments."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\[ \t]*\n", " ", "\n".join(lines))
    return [line.strip() for line in joined.splitlines() if line.strip()]


def with_final_stage(text: str, target: str) -> str:
    """Return a Dockerfile to which instructions can be added: a stage on top of *target*, if there is one."""
    ended = text.rstrip("\n")
    return f"{ended}\nFROM {target}" if target else ended


def _value_of(found: re.Match[str], values: Mapping[str, str]) -> str:
    return values.get(found["braced"] or found["bare"], "") or found["default"] or ""
