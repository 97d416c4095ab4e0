"""Shows a build: on a terminal each step and the last line below it, elsewhere every line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from cnflow.images.builder import Progress

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console
    from typing_extensions import Self


class BuildDisplay:
    """Context in which builds are shown.

    Args:
        console: on stderr, so that stdout has the names alone.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = console.status("") if console.is_terminal else None
        self.progress = Progress(self._on_step, self._on_line)

    def __enter__(self) -> Self:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def _on_step(self, words: str) -> None:
        self._console.print(Text(f"cnflow: {words}"), soft_wrap=True)
        self._on_line("")

    def _on_line(self, line: str) -> None:
        if self._status is not None:
            self._status.update(Text(line.strip() or "...", no_wrap=True, overflow="ellipsis", style="dim"))
        elif line:
            self._console.print(Text(line), soft_wrap=True)
