"""Sends questions to a running run, and formats its replies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.control_socket import ask, find_live_run
from cnflow.errors import ConfigurationError
from cnflow.text import align_columns, duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_MAX_ID = 16
"""Characters; longer ids, such as those of containers, are cut at 12, as Docker does."""


def ask_run(place: Path, question: dict[str, Any]) -> dict[str, Any]:
    """Send *question* to the run of the folder *place* and return its reply.

    Raises:
        ConfigurationError: no run of that folder is running, or it does not answer.
    """
    run = find_live_run(place)
    try:
        return ask(run, question)
    except OSError as error:
        raise ConfigurationError(f"The run in {run} does not answer: {error}. It may just have ended.") from error


def blocks_table(blocks: Sequence[Mapping[str, Any]]) -> str:
    """Format a table with a row for each block; a sentence if there is none."""
    if not blocks:
        return "This run has no blocks now."
    head = ("executor", "block", "provider id", "state", "nodes", "workers", "tasks", "age", "last message")
    return align_columns([head, *(_row(block) for block in blocks)], right={4, 5, 6, 7})


def _row(block: Mapping[str, Any]) -> tuple[str, ...]:
    native = block["native"] or "-"
    return (
        block["executor"],
        block["block"],
        native if len(native) <= _MAX_ID else native[:12],
        block["state"],
        str(block["nodes"]),
        str(block["workers"]),
        "-" if block["tasks"] is None else str(block["tasks"]),
        duration(block["age"]),
        block["message"] or "-",
    )
