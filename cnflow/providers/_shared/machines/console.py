"""Reads the console of a machine, and its report to the boot site: what the manager printed, and how it ended. No I/O.

::

    kernel, cloud-init            │ before `boot.OUTPUT`: of the machine
    === cnflow: output ===
    output of the manager         │ `output_of`
    === cnflow: preempted: ... ===│ `End.preempted`
    === cnflow: exit code 3 ===   │ `End.exit_code`
    === cnflow: boot failed: ...  │ `End.boot_failed`, without any of these
"""

from __future__ import annotations

import re
from typing import NamedTuple

from cnflow.providers._shared.machines import boot


def _pattern(line: str) -> re.Pattern[str]:
    before, _, after = line.partition("{}")
    return re.compile(f"{re.escape(before)}(.*?){re.escape(after)}\\s*$", re.MULTILINE)


_EXIT_CODE, _PREEMPTED, _BOOT_FAILED = map(_pattern, (boot.EXIT_CODE, boot.PREEMPTED, boot.BOOT_FAILED))
_END = re.compile(r"^.*=== cnflow: (exit code|preempted|boot failed)", re.MULTILINE)


class End(NamedTuple):
    """End of what cnflow ran on a machine."""

    exit_code: int | None = None
    """None if it is not known."""

    preempted: str = ""
    """Words of the cloud's announcement; empty without one."""

    boot_failed: str = ""
    """Reason why nothing was run; empty if something was."""

    last_lines: str = ""
    """Of the output, or of the machine where nothing was run."""

    @property
    def is_known(self) -> bool:
        """Something is known of the end."""
        return self.exit_code is not None or bool(self.preempted or self.boot_failed)


NO_END = End()


def end_in(text: str, lines: int = 20) -> End:
    """Return the end that *text* of a console or report shows, with the last *lines* before it."""
    code, preempted, failed = (pattern.findall(text) for pattern in (_EXIT_CODE, _PREEMPTED, _BOOT_FAILED))
    exit_code = int(code[-1]) if code and code[-1].lstrip("-").isdigit() else None
    last = _last_lines(output_of(text) or _before_end(text), lines)
    return End(exit_code, preempted[-1] if preempted else "", failed[-1] if failed else "", last)


def output_of(text: str) -> str:
    """Return what the manager printed; empty if the console does not reach back to its start, and shows no output."""
    _, mark, output = text.rpartition(boot.OUTPUT)
    return _before_end(output).lstrip("\r\n") if mark else ""


def last_output(text: str, last: int) -> bytes:
    """Return the *last* lines of the output, or of the whole console where no manager has begun."""
    chosen = output_of(text) if boot.OUTPUT in text else text
    found = _last_lines(chosen, last)
    return f"{found}\n".encode() if found else b""


def _before_end(text: str) -> str:
    found = _END.search(text)
    return text[: found.start()] if found else text


def _last_lines(text: str, lines: int) -> str:
    return "\n".join(text.replace("\r\n", "\n").rstrip().splitlines()[-lines:]) if lines > 0 else ""
