"""Meaning of a submission that a scheduler did not accept. No I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cnflow.model.block import Refusal, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.interfaces.channel import Completed

Words = tuple[tuple[str, Refusal, str], ...]
"""Pattern of what the scheduler prints, its meaning, and the user's next step; the first that fits counts."""


def refusal(scheduler: str, program: str, output: Completed, known: Sequence[tuple[str, Refusal, str]]) -> Refused:
    """Return the answer to a submission for which *program* printed *output*.

    Args:
        scheduler: its name, for the message.
        program: that failed.
        output: of it.
        known: see `Words`; what fits none of them may succeed another time.
    """
    streams = filter(None, [output.stdout.strip(), output.stderr.strip()])
    printed = "\n".join(streams) or f"{program} exited with code {output.exit_code}"
    for pattern, kind, advice in known:
        if re.search(pattern, printed, re.IGNORECASE):
            return Refused(kind, f"{scheduler} refused the job: {printed}\n{advice}".rstrip())
    return Refused(Refusal.FAILED, f"{scheduler} did not accept the job: {printed}")
