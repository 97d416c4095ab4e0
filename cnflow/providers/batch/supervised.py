"""A job's body under a shell that outlives it: passes notices on to it, and records its exit code. Pure.

::

    scheduler ──SIGUSR2, SIGTERM──> shell ──SIGTERM──> body (a manager, or a launcher)
                                      │ <──exit code── body
                                      └── OUTPUT.code: read where a scheduler keeps no accounts
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def supervised(body: str, *, notices: Sequence[str] = (), record: str = "") -> str:
    """POSIX sh that runs *body* and ends with its exit code.

    Args:
        body: of the job.
        notices: signals besides SIGTERM that ask for an end, such as ``USR2``. The scheduler may send them to all
            processes of the job: the body ignores them.
        record: word of the shell, for the path of a file that gets the exit code; empty records none.
    """
    # The last wait: a signal may end the one before in the moment in which the body ends. 127: that one had its code.
    ignored = f"trap '' {' '.join(notices)}\n" if notices else ""
    signals = " ".join([*notices, "TERM"])
    recorded = f'echo "$cnflow_code" >{record}\n' if record else ""
    return f"""\
(
{ignored}{body.rstrip()}
) &
cnflow_body=$!
trap 'kill -TERM $cnflow_body 2>/dev/null' {signals}
wait $cnflow_body; cnflow_code=$?
while kill -0 $cnflow_body 2>/dev/null; do wait $cnflow_body; cnflow_code=$?; done
wait $cnflow_body 2>/dev/null; cnflow_last=$?
[ $cnflow_last = 127 ] || cnflow_code=$cnflow_last
{recorded}exit $cnflow_code
"""
