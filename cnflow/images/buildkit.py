"""BuildKit, through the engine's own command: the protocol of its sessions has no other client in Python.

::

    find_command(PATH) ──> docker buildx build --load | docker-buildx build --load | DOCKER_BUILDKIT=1 docker build
    run_build(command line, environment) ── output, line by line ──> on_line          exit code
        └── the caller is interrupted: SIGTERM to the command, which cancels the build
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from cnflow.images.engine import OnLine

_SECONDS = 20
_GRACE = 10
_OLDEST, _WITHOUT = (18, 9), (23, 0)
"""First version of the docker command with a client of BuildKit of its own, and the first without (it needs buildx)."""


class BuildCommand(NamedTuple):
    """A command that builds with BuildKit."""

    argv: tuple[str, ...]
    loads: bool
    """It needs ``--load`` to hand the image to the engine."""


def find_command(path: str) -> BuildCommand | None:
    """Return the first command of *path*, as in PATH, that builds with BuildKit; None if there is none."""
    for docker in _on_path(path, "docker"):
        if _succeeds([docker, "buildx", "version"]):
            return BuildCommand((docker, "buildx", "build"), loads=True)
        if _OLDEST <= _version_of(docker) < _WITHOUT:
            return BuildCommand((docker, "build"), loads=False)
    for buildx in (*_on_path(path, "docker-buildx"), *_on_path(path, "buildx")):
        if _succeeds([buildx, "version"]):
            return BuildCommand((buildx, "build"), loads=True)
    return None


def _on_path(path: str, name: str) -> Iterator[str]:
    for folder in dict.fromkeys(path.split(os.pathsep)):
        if folder and (found := shutil.which(name, path=folder)):
            yield found


def _succeeds(argv: Sequence[str]) -> bool:
    return _output(argv) is not None


def _output(argv: Sequence[str]) -> str | None:
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout


def _version_of(docker: str) -> tuple[int, ...]:
    """Return major and minor number of ``Docker version 20.10.24+dfsg1, build ...``."""
    words = (_output([docker, "--version"]) or "").partition("version ")[2]
    numbers = words.split(".")[:2]
    return tuple(int(number) for number in numbers) if all(number.isdigit() for number in numbers) else ()


def build_options(
    options: Mapping[str, str | Mapping[str, str]], secrets: Mapping[str, Path], folder: Path, *, loads: bool
) -> list[str]:
    """Return the arguments of a build. Pure.

    Args:
        options: ``tag``, ``dockerfile`` (a path), ``labels``, ``buildargs``, ``target``, ``platform``.
        secrets: name -> file that has the value.
        folder: context.
        loads: see `BuildCommand`.
    """
    words = ["--progress=plain", *(["--load"] if loads else [])]
    for name, flag in (("tag", "--tag"), ("dockerfile", "--file"), ("target", "--target"), ("platform", "--platform")):
        if value := options.get(name):
            words += [flag, str(value)]
    for name, flag in (("labels", "--label"), ("buildargs", "--build-arg")):
        given = options.get(name) or {}
        assert not isinstance(given, str)
        for each, value in given.items():
            words += [flag, f"{each}={value}"]
    for name, file in secrets.items():
        words += ["--secret", f"id={name},src={file}"]
    return [*words, str(folder)]


def run_build(argv: Sequence[str], environment: Mapping[str, str], on_line: OnLine) -> int:
    """Run a build to its end; return its exit code. In a session of its own: Ctrl-C is the caller's to handle."""
    process = subprocess.Popen(
        argv,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        with process.stdout:
            for line in process.stdout:
                on_line(line.rstrip("\n"))
        return process.wait()
    except BaseException:
        _end(process)
        raise


def _end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
