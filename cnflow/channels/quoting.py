r"""The one place where a command becomes a text for a shell, and its output is told from what the login prints; pure.

::

    argv, setup, variables ──> script of sh ─base64─> first line of stdin  ──> exec /bin/sh -c 'read; eval' `run`
                                                └───> words of [A-Za-z0-9+/=] ─> exec /bin/sh -c 'eval' sh ... `command`

    stdout: "Welcome to site\n" MARK "output"          what comes before the mark is the login's
    stderr: "banner\n"          MARK "words" MARK code  no last mark: the connection broke, nothing is known

The user's login shell sees one command of plain characters between single quotes: no backslash, exclamation mark or
line break, which csh and fish read in their own ways, and no word that is too long for csh.
"""

from __future__ import annotations

import base64
import re
import shlex
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

READ_AND_RUN = """exec /bin/sh -c 'IFS= read -r c && eval "$(printf %s "$c" | base64 -d)"'"""
"""Remote command that runs the script in the first line of its stdin; the script's stdin is the rest."""

_RUN_WORDS = """exec /bin/sh -c 'eval "$(printf %s "$@" | base64 -d)"' sh"""
_WORD = 800
"""Characters; bsd-csh 20110502 refuses words of more than 1024 bytes."""


class Output(NamedTuple):
    """What a command printed, without the login's."""

    stdout: bytes
    stderr: bytes
    exit_code: int | None
    """None: its end was not seen."""

    has_started: bool


def marked_script(
    argv: Sequence[str], mark: str, *, setup: str = "", environment: Mapping[str, str] | None = None
) -> str:
    """Script that runs *argv* between marks, which `unmarked` looks for."""
    start = f"printf '\\n%s\\n' {mark}"
    return (
        f"{_preparation(setup, environment or {})}{start}; {start} >&2\n"
        f"( exec {shlex.join(argv)} )\n"
        f"c=$?; printf '\\n%s %s\\n' {mark} $c >&2; exit $c\n"
    )


def plain_script(argv: Sequence[str], *, setup: str = "", environment: Mapping[str, str] | None = None) -> str:
    """Script that becomes *argv*."""
    return f"{_preparation(setup, environment or {})}exec {shlex.join(argv)}\n"


def header(script: str) -> bytes:
    """First line of stdin for `READ_AND_RUN`."""
    return base64.b64encode(_encoded(script)) + b"\n"


def remote_command(script: str) -> str:
    """Remote command that runs *script*, and leaves its stdin alone."""
    text = base64.b64encode(_encoded(script)).decode("ascii")
    words = [text[start : start + _WORD] for start in range(0, len(text), _WORD)]
    return " ".join([_RUN_WORDS, *words])


def unmarked(stdout: bytes, stderr: bytes, mark: str) -> Output:
    """Output of a `marked_script`."""
    sign = re.escape(mark.encode())
    _, started, out = stdout.partition(b"\n" + mark.encode() + b"\n")
    _, told, words = stderr.partition(b"\n" + mark.encode() + b"\n")
    end = re.search(rb"\n" + sign + rb" (\d+)\n", words)
    if end is not None:
        words = words[: end.start()] + words[end.end() :]
    code = int(end[1]) if end is not None else None
    return Output(out if started else stdout, words if told else stderr, code, bool(started or told))


def _preparation(setup: str, environment: Mapping[str, str]) -> str:
    lines = [f"{{\n{setup}\n}} </dev/null >&2"] if setup.strip() else []
    lines += [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    return "".join(f"{line}\n" for line in lines)


def _encoded(script: str) -> bytes:
    if "\0" in script:
        raise ValueError("a command line cannot hold a NUL character")
    return script.encode("utf-8", "surrogateescape")
