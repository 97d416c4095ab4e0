"""Formats the status of a pool server for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_COLUMNS = ("pool", "image", "address", "drivers", "queued", "running", "ended", "blocks", "workers", "state")


def pools_table(reply: Mapping[str, Any]) -> str:
    """Format the pools of a status, one in a line, and below each its drivers and the last words about its blocks."""
    rows = [_COLUMNS, *(_row(pool) for pool in reply["pools"])]
    widths = [max(len(row[number]) for row in rows) for number in range(len(_COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    details = [line for pool in reply["pools"] for line in _details(pool)]
    return "\n".join([*lines, *details])


def _row(pool: Mapping[str, Any]) -> Sequence[str]:
    connected = sum(client["is_connected"] for client in pool["clients"])
    return (
        pool["name"],
        pool["image"] or "-",
        f"tcp://{pool['host']}:{pool['clients_port']}",
        str(connected),
        str(pool["queued"]),
        str(pool["running"]),
        str(pool["ended"]),
        str(len(pool["blocks"])),
        str(pool["workers"]),
        "failed" if pool["error"] else "ready" if pool["is_ready"] else "starts",
    )


def _details(pool: Mapping[str, Any]) -> list[str]:
    lines = []
    for client in pool["clients"]:
        state = "" if client["is_connected"] else f", away for {client['idle']:.0f} s"
        numbers = f"{client['queued']} queued, {client['running']} running, {client['ended']} ended"
        lines.append(f"{pool['name']}: driver {client['name']}: {numbers}{state}")
    lines += [
        f"{pool['name']}: block {block['block']} ({block['state']}): {block['message']}"
        for block in pool["blocks"]
        if block["message"] and block["state"] != "running"
    ]
    if pool["error"]:
        lines.append(f"{pool['name']}: {pool['error']}")
    return lines
