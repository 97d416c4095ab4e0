"""Reads a builder's output, line by line: which step runs, and which failed. No I/O.

::

    classic    Step 3/6 : RUN make                BuildKit    #5 [2/4] RUN make
               ...output of the step                          #5 0.41 ...output of the step
                                                              #5 ERROR: executor failed running ...
    both ── feed(line) ──> Line(shown in the log), `step`: what runs now, `tail`: the last lines of what failed
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.images.dockerfile import Compiled

_CLASSIC_STEP = re.compile(r"(?:Step|STEP) (?P<number>\d+)/(?P<all>\d+) ?: (?P<instruction>.*)")
_VERTEX = re.compile(r"#(?P<vertex>\d+) \[(?P<place>[^\]]*)\] (?P<instruction>.*)")
_OUTPUT = re.compile(r"#(?P<vertex>\d+) \d+\.\d+ (?P<text>.*)")
_FAILED = re.compile(r"#(?P<vertex>\d+) ERROR: (?P<why>.*)")
_OVERALL = re.compile(r"(ERROR: )?(error: )?failed to solve(?: with frontend \S+)?: (?P<why>.*)")
_NOISE = re.compile(r"#\d+ (sha256:|DONE|CACHED|transferring|exporting|writing|naming|\d+\.\d+ )|#\d+ \.\.\.$|-{3,}$")
_OURS = re.compile(r"(LABEL cnflow|FROM sha256:|ENTRYPOINT \[|CMD \[)")
_CLASSIC_NOISE = (" ---> ", "Removing intermediate container ")
_KEPT = 30
"""Lines of the current step that an error may quote."""


class BuildLog:
    """What is known of one call of a builder.

    Args:
        steps: of the recipe, by whose instructions a step is named as the user wrote it.
    """

    def __init__(self, steps: Sequence[Compiled] = ()) -> None:
        self._titles: dict[str, str] = {}
        for number, step in enumerate(steps, 1):
            for instruction in step.instructions():
                self._titles.setdefault(_normal(instruction), f"step {number} of {len(steps)}, {step.title}")
        self.step = ""
        """What runs, or ran last, in words."""

        self._vertices: dict[str, tuple[str, deque[str]]] = {}
        self._lines: deque[str] = deque(maxlen=_KEPT)
        self._failed = ""
        self._why = ""

    def feed(self, line: str) -> str:
        """Take a line of output; return the words of the step if the line begins one, else an empty string."""
        if (found := _CLASSIC_STEP.match(line)) is not None:
            return self.begin(found["instruction"])
        if (found := _FAILED.match(line)) is not None:
            self._failed, self._why = found["vertex"], found["why"]
        elif (found := _VERTEX.match(line)) is not None:
            if found["vertex"] in self._vertices:
                return ""
            self._vertices[found["vertex"]] = (self._words(found["instruction"]), deque(maxlen=_KEPT))
            return "" if found["place"].startswith("internal") else self.begin(found["instruction"])
        elif (found := _OUTPUT.match(line)) is not None:
            self._vertices.setdefault(found["vertex"], ("", deque(maxlen=_KEPT)))[1].append(found["text"])
        elif (found := _OVERALL.match(line)) is not None:
            self._why = self._why or found["why"]
        elif line.strip() and not _NOISE.match(line) and not self._vertices:
            self._lines.append(line.rstrip())
        return ""

    @property
    def failed_step(self) -> str:
        """The step that failed, in words; empty if the failure belongs to none."""
        if self._vertices:
            return self._vertices[self._failed][0] if self._failed in self._vertices else ""
        return self.step

    @property
    def why(self) -> str:
        """The builder's own reason; empty if it gave none in its output."""
        return self._why

    @property
    def tail(self) -> list[str]:
        """The last lines of the step that failed."""
        if self._vertices:
            return list(self._vertices[self._failed][1]) if self._failed in self._vertices else []
        return [line for line in self._lines if not line.startswith(_CLASSIC_NOISE)]

    def begin(self, instruction: str) -> str:
        """Begin a step; return its words, which are empty for an instruction that is not the user's."""
        self._lines.clear()
        self.step = self._words(instruction)
        return "" if _OURS.match(instruction) else self.step

    def _words(self, instruction: str) -> str:
        return self._titles.get(_normal(instruction)) or f"instruction {instruction.strip()}"


def _normal(instruction: str) -> str:
    """Return an instruction as builders print it: some leave out quotes, and all join blanks."""
    return re.sub(r"[\s\"\\\[\],]+", " ", instruction).strip().lower()
