"""Asks a run that goes on, and writes what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.control_socket import ask, going_on
from cnflow.errors import ConfigurationError
from cnflow.text import duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_LONGEST_ID = 16
"""Longer ones, such as those of containers, are cut at 12, as their own tools do."""


def asked(place: Path, question: dict[str, Any]) -> dict[str, Any]:
    """What the run that *place* means answers.

    Raises:
        ConfigurationError: no run goes on there, or it does not answer.
    """
    run = going_on(place)
    try:
        return ask(run, question)
    except OSError as error:
        raise ConfigurationError(f"The run in {run} does not answer: {error}. It may just have ended.") from error


def blocks_table(blocks: Sequence[Mapping[str, Any]]) -> str:
    """A row for each block, columns aligned; a sentence if there is none."""
    if not blocks:
        return "No blocks: this run has none now."
    head = ("executor", "block", "provider id", "state", "nodes", "workers", "tasks", "age", "last message")
    return aligned([head, *(_row(block) for block in blocks)], right={4, 5, 6, 7})


def _row(block: Mapping[str, Any]) -> tuple[str, ...]:
    native = block["native"] or "-"
    return (
        block["executor"],
        block["block"],
        native if len(native) <= _LONGEST_ID else native[:12],
        block["state"],
        str(block["nodes"]),
        str(block["workers"]),
        "-" if block["tasks"] is None else str(block["tasks"]),
        duration(block["age"]),
        block["message"] or "-",
    )


def aligned(rows: Sequence[Sequence[str]], right: set[int]) -> str:
    """Lines of equally wide columns, two spaces between them; those numbered in *right* end where the widest does."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = (
        "  ".join(
            cell.rjust(width) if n in right else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)
