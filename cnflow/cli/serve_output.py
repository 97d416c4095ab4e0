"""Formats what a server of models answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.text import align_columns, duration

if TYPE_CHECKING:
    from collections.abc import Mapping

_HEAD = ("model", "version", "share", "state", "workers", "calls", "image", "remark")


def server_table(status: Mapping[str, Any]) -> str:
    """Format a table with a row for each version, below a line on the server."""
    rows = [_row(model, version) for model in status["models"] for version in model["versions"]]
    return f"{headline(status)}\n\n{align_columns([_HEAD, *rows], right={2, 4, 5})}"


def headline(status: Mapping[str, Any]) -> str:
    """One line on the server."""
    state = "draining" if status["is_draining"] else "ready" if status["is_ready"] else "not ready"
    fronts = len(status["fronts"])
    words = f"{fronts} front{'' if fronts == 1 else 's'}"
    return f"{status['url']} is {state}: process {status['pid']} with {words}, for {duration(status['age'])}"


def _row(model: Mapping[str, Any], version: Mapping[str, Any]) -> tuple[str, ...]:
    total = sum(each["weight"] for each in model["versions"] if not each["is_shadow"])
    share = version["weight"] / total if total else 0.0
    return (
        model["name"],
        version["version"],
        "shadow" if version["is_shadow"] else f"{share:.0%}",
        version["state"],
        str(version["workers"]),
        str(version["in_flight"]),
        version["image"] or "-",
        version["reason"] or "-",
    )
