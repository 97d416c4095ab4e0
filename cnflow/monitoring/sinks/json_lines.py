"""Writes events to a file, one JSON object a line: readable by people, `jq`, pandas and DuckDB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cnflow.config.sinks import JsonLinesSink
    from cnflow.model.events import AnyEvent


class JsonLines:
    """Live half of `cnflow.config.JsonLinesSink`; see `cnflow.interfaces.Sink`.

    Args:
        settings: made by the user.
        run_dir: folder of the run, where a relative path begins.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, settings: JsonLinesSink, run_dir: Path) -> None:
        self._file = (run_dir / settings.path).open("ab", buffering=0)
        self._encode = msgspec.json.Encoder().encode_lines

    def write(self, events: Sequence[AnyEvent]) -> None:
        """Append *events* in one write: a reader that follows the file sees whole lines."""
        self._file.write(self._encode(events))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
