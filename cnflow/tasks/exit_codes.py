"""Explains exit codes of commands that shells and container engines have given a meaning. No I/O.

The meanings: https://docs.docker.com/reference/cli/docker/container/run/#exit-status, and bash(1), EXIT STATUS.
"""

from __future__ import annotations

import signal

_KILLED = 128 + signal.SIGKILL


def explain_exit_code(code: int, image: str) -> str:
    """Return what an exit code most likely means, and what to do; empty for one without a meaning of its own.

    Args:
        code: as `subprocess.Popen.returncode`.
        image: in which the command ran; empty on the bare node.
    """
    where = f"image {image}" if image else "this node"
    if code == 125:  # noqa: PLR2004 - the codes of the list above
        return (
            "125 is the code with which programs that start others (docker run, env, timeout) report a failure of "
            f"themselves, such as a wrong option; the command was not run. It was started in {where}."
        )
    if code == 126:  # noqa: PLR2004 - the same
        return (
            f"126 means that a program of the command was found in {where} and cannot be executed: make it executable "
            "(chmod +x), and see that it is a program for this architecture."
        )
    if code == 127:  # noqa: PLR2004 - the same
        return (
            f"127 means that a program of the command was not found in {where}: install it there, or correct its name "
            "or PATH."
        )
    if code in {_KILLED, -signal.SIGKILL}:
        how = "Image(memory=...) or the provider's memory=" if image else "more memory, or fewer tasks at a time"
        return (
            f"It was killed with SIGKILL in {where}: by hand, or by the kernel for using more memory than there was. "
            f"If it needs more memory, give it that: {how}."
        )
    return ""
