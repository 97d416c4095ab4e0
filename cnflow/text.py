"""Builds parts of messages: names, durations, sizes, suggestions. No I/O."""

from __future__ import annotations

import difflib
import re
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence


# Names have limits, so that a long text costs no more than its length.
_USER = re.compile(r"\b([A-Za-z][A-Za-z0-9+.\-]{0,30})://([^/\s?#\"<>]*)@")
_VALUE = re.compile(
    r"([?&;#](?:[\w.\-]{0,64}(?:signature|token|secret|passw|credential|api[_-]?key|access[_-]?key)[\w.\-]{0,64}"
    r"|sig|auth|key|pwd)=)"
    r"[^&;#\s\"'<>]*[^&;#\s\"'<>:]",
    re.IGNORECASE,
)
"""Values in a URL that give access by themselves, such as the signatures of Amazon, Google and Azure."""

_HTTP = frozenset({"http", "https"})
_PLAIN = frozenset({str, int, float, bool, bytes, type(None)})


def mask_url(text: str) -> str:
    """*text*, with the passwords, tokens and signatures of every URL in it replaced by ``***``.

    A user's name alone stays, as in ``sftp://ann@host``, but for HTTP, where it may be a token.
    """
    if "://" not in text:
        return text
    return _VALUE.sub(r"\1***", _USER.sub(_masked_user, text))


def _masked_user(found: re.Match[str]) -> str:
    scheme, user = found[1], found[2]
    return f"{scheme}://{'***' if ':' in user or scheme.lower() in _HTTP else user}@"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``" Did you mean 'x'?"`` with the known name nearest to *name*; empty if none is near."""
    near = difflib.get_close_matches(str(name), list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def elide_middle(names: list[str], ends: int = 3) -> list[str]:
    """*names*; of a long list the first and last *ends*, with the number of those left out between them."""
    left_out = len(names) - 2 * ends
    return names if left_out <= 1 else [*names[:ends], f"... {left_out} more ...", *names[-ends:]]


def shortened(text: str, longest: int = 4000) -> str:
    """*text*; of one with more than *longest* characters the beginning, with the number of those left out."""
    left_out = len(text) - longest
    return text if left_out <= 0 else f"{text[:longest]} ... {left_out:,} more characters"


def in_a_sentence(name: str) -> str:
    """*name* with a lower-case first letter, for the middle of a sentence: ``task 3 (sort)``."""
    return name[:1].lower() + name[1:]


def duration(seconds: float) -> str:
    """``7 s``, ``2 min 5 s``, ``1 h 2 min``: two units at most, rounded down."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def brief_duration(seconds: float) -> str:
    """``0.3 s`` below ten seconds, then as `duration`."""
    return f"{seconds:.1f} s" if seconds < 9.95 else duration(seconds + 0.05)  # noqa: PLR2004 - rounds to 10.0


def amount_of_memory(size: float) -> str:
    """``4 GB`` or ``1.5 GiB``: *size* bytes in the largest unit that is not above it."""
    base, mark = (1000, "") if size and not size % 1000 else (1024, "i")
    for exponent, letter in ((4, "T"), (3, "G"), (2, "M"), (1, "k" if base == 1000 else "K")):  # noqa: PLR2004 - as above
        if size >= base**exponent:
            return f"{round(size / base**exponent, 1):g} {letter}{mark}B"
    return f"{size:g} B"


def describe_error(error: BaseException) -> str:
    """``ValueError: too long``; the class alone if the error has no text."""
    try:
        text = str(error)
    except BaseException as broken:
        if is_ctrl_c(broken):
            raise
        text = f"(its __str__ failed: {type(broken).__name__})"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def describe_safely(error: BaseException) -> str:
    """Text of `describe_error` where that runs none of the user's code, which may never return; the class otherwise.

    For threads that other tasks need: `describe_error` is for the thread that ran the task, and for the user's own.
    """
    kind = type(error)
    if kind.__module__ == "builtins" and all(type(part) in _PLAIN for part in error.args):
        return describe_error(error)
    if not kind.__module__.startswith("cnflow.errors."):
        return kind.__name__
    root: BaseException | None = getattr(error, "root_cause", None)
    return describe_error(error) if root is None else f"{kind.__name__}: {describe_safely(root)}"


def is_ctrl_c(error: BaseException) -> bool:
    """True for a KeyboardInterrupt that may be the user's: Python raises it in the main thread alone.

    In any other thread it is an error of the task whose code raised it.
    """
    return isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread()


def indent_under(title: str, text: str) -> str:
    """*text*, indented below *title*, after a line break; empty if *text* is."""
    lines = text.strip("\n").splitlines()
    return "\n".join([f"\n{title}", *(f"    {line}" for line in lines)]) if lines else ""


def signal_name(number: int) -> str:
    """``signal 9 (SIGKILL)``."""
    import signal  # noqa: PLC0415 - only a dead worker's message needs it

    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"


def describe_exit(code: int) -> str:
    """``exited with code 3`` or ``was killed by signal 9 (SIGKILL)``.

    The code of a signal is negative, or above 128 where a shell or docker-init reports it (bash(1), EXIT STATUS).
    """
    import signal  # noqa: PLC0415 - only a dead process's message needs it

    number = -code if code < 0 else code - 128
    known = number in {each.value for each in signal.Signals}
    return f"was killed by {signal_name(number)}" if known else f"exited with code {code}"


def align_columns(rows: Sequence[Sequence[str]], right: Collection[int]) -> str:
    """Format *rows* with columns of equal width, two spaces apart; the columns *right* are aligned to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = (
        "  ".join(
            cell.rjust(width) if n in right else cell.ljust(width) for n, (cell, width) in enumerate(zip(row, widths))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)
