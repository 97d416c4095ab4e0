"""Parsl's helpers for scripts and for users' own providers."""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import re
import signal
import subprocess
import textwrap
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from cnflow.dataflow.memo.checkpoint_paths import get_all_checkpoints, get_last_checkpoint

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

__all__ = [
    "RepresentationMixin",
    "execute_wait",
    "get_all_checkpoints",
    "get_last_checkpoint",
    "sanitize_dns_label_rfc1123",
    "sanitize_dns_subdomain_rfc1123",
    "time_limited_open",
    "wait_for_file",
    "wtime_to_minutes",
]

logger = logging.getLogger(__name__)

# RFC 1123, 2.1, with the lengths of RFC 1035, 2.3.4.
_LONGEST_LABEL = 63
_LONGEST_SUBDOMAIN = 253

_ONE_PER_LINE = ",\n"

_POLL_S = 0.01
"""Seconds between two checks for a file."""


def wtime_to_minutes(time_string: str) -> int:
    """Whole minutes in a walltime ``"HH:MM:SS"``; logs a warning if that is less than one.

    Raises:
        ValueError: *time_string* has another format.
    """
    found = re.fullmatch(r"([0-9]+):([0-9]{1,2}):([0-9]{1,2})", time_string.strip())
    if found is None:
        raise ValueError(f"a walltime is written 'HH:MM:SS', such as '01:30:00', not {time_string!r}")
    minutes = int(found[1]) * 60 + int(found[2])
    if minutes < 1:
        logger.warning("the walltime %r is less than a minute, and counts as %d minutes", time_string, minutes)
    return minutes


@contextlib.contextmanager
def wait_for_file(path: str | os.PathLike[str], seconds: float = 10) -> Generator[None]:
    """Enter the block as soon as *path* exists, or after *seconds* even if it does not."""
    deadline = time.monotonic() + seconds
    while not Path(path).exists() and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    yield


@contextlib.contextmanager
def time_limited_open(path: str | os.PathLike[str], mode: str, seconds: float = 1) -> Generator[IO[Any]]:
    """Open *path* as soon as it exists, and close it at the end of the block.

    Raises:
        OSError: the file cannot be opened after *seconds*.
    """
    with wait_for_file(path, seconds), Path(path).open(mode) as file:
        yield file


def execute_wait(cmd: str, walltime: float | None = None) -> tuple[int, str, str]:
    """Run a line of shell and wait for it.

    Args:
        cmd: command line for ``/bin/sh``.
        walltime: seconds that it may take; None sets no limit.

    Returns:
        Exit code, or the negative number of the signal that ended the command; its stdout; its stderr.

    Raises:
        subprocess.TimeoutExpired: the command took longer, and was killed with its process group.
    """
    with subprocess.Popen(
        ["/bin/sh", "-c", cmd], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            stdout, stderr = process.communicate(timeout=walltime)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode, stdout.decode(errors="replace"), stderr.decode(errors="replace")


def sanitize_dns_label_rfc1123(raw_string: str) -> str:
    """Make a label of a DNS name from *raw_string*: at most 63 lower case letters, digits and inner hyphens.

    Raises:
        ValueError: no character is left.
    """
    label = _label(raw_string)
    if not label:
        raise ValueError(f"Sanitized DNS label is empty for input '{raw_string}'")
    return label


def sanitize_dns_subdomain_rfc1123(raw_string: str) -> str:
    """Make a DNS name from *raw_string*: labels separated by dots, at most 253 characters.

    Raises:
        ValueError: no character is left.
    """
    labels = [label for part in raw_string.split(".") if (label := _label(part))]
    subdomain = ".".join(labels)[:_LONGEST_SUBDOMAIN].rstrip(".-")
    if not subdomain:
        raise ValueError(f"Sanitized DNS subdomain is empty for input '{raw_string}'")
    return subdomain


def _label(text: str) -> str:
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")[:_LONGEST_LABEL].rstrip("-")


class RepresentationMixin:
    """Mixin: a ``repr`` that reads as the call of the constructor, from attributes with the parameters' names.

    A repr longer than ``__max_width__`` has a line for each parameter. A parameter without an attribute is shown as
    ``<unrecorded>``; where ``_validate_repr`` is true, it is an AttributeError.
    """

    __max_width__ = 80
    _validate_repr = False

    def __repr__(self) -> str:
        name, shown = type(self).__name__, list(self._format_parameters())
        line = f"{name}({', '.join(shown)})"
        if len(line) <= self.__max_width__:
            return line
        return f"{name}(\n{textwrap.indent(_ONE_PER_LINE.join(shown), '    ')}\n)"

    def _format_parameters(self) -> Iterator[str]:
        """Yield each parameter as it is written in the call."""
        _, *parameters = inspect.signature(type(self).__init__).parameters.values()
        for parameter in parameters:
            if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
                continue
            if self._validate_repr and not hasattr(self, parameter.name):
                raise AttributeError(
                    f"{type(self).__name__} keeps no attribute {parameter.name!r}, which its constructor takes; "
                    f"set self.{parameter.name} there"
                )
            by_name = parameter.kind is parameter.KEYWORD_ONLY or parameter.default is not parameter.empty
            value = repr(getattr(self, parameter.name)) if hasattr(self, parameter.name) else "<unrecorded>"
            yield f"{parameter.name}={value}" if by_name else value
