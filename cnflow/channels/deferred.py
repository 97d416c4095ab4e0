"""Process that becomes a command which is not known yet when it starts. Standard library only.

::

    driver ── pipe: DeferredCommand ──> deferred ── exec ──> ssh ... ── the same stdin and stdout
                                            └── error: to stderr, exit code 1;   output: to stdout, exit code 0

Started as ``python -I DEFERRED.py DESCRIPTOR``, where a command has to be returned at once, and the machine that it
leads to is still being made.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class DeferredCommand:
    """Content of the pipe."""

    argv: list[str] = field(default_factory=list)
    output: str = ""
    """Written to stdout in place of running a command."""

    error: str = ""
    """Written to stderr in place of running a command."""

    def to_json(self) -> bytes:
        """Content of the pipe."""
        return json.dumps(asdict(self)).encode()


def deferred_argv(descriptor: int) -> list[str]:
    """Return the command line of this process, which reads its command from *descriptor*."""
    return [sys.executable, "-I", __file__, str(descriptor)]


def main(descriptor: int) -> int:
    """Read the command and become it; return the exit code where there is none."""
    with os.fdopen(descriptor, "rb") as pipe:
        content = pipe.read()
    command = DeferredCommand(**json.loads(content)) if content else DeferredCommand(error="the driver has ended")
    if command.output:
        os.write(sys.stdout.fileno(), command.output.encode())
        return 0
    if command.argv:
        try:
            os.execvp(command.argv[0], command.argv)  # noqa: S606 - an argument vector, no shell
        except OSError as error:
            command = DeferredCommand(error=f"{command.argv[0]} cannot be started: {error}")
    os.write(sys.stderr.fileno(), f"{command.error}\n".encode())
    return 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
