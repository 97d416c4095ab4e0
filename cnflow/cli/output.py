"""Formats values as tables, JSON and YAML."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cnflow.errors import MissingExtraError
from cnflow.model.finding import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.budget.prices import MachineType
    from cnflow.cli.lock_report import Resolved

_STYLES = {Verdict.GOOD: "green", Verdict.ABSENT: "yellow", Verdict.BAD: "bold red"}


_COLOURS = {Verdict.GOOD: "green", Verdict.ABSENT: "yellow", Verdict.BAD: "red"}


def colour_of(verdict: Verdict) -> str:
    """Colour of *verdict* in a terminal."""
    return _COLOURS[verdict]


def as_json(values: Mapping[str, object]) -> str:
    """Format *values* as indented JSON, in their order."""
    return json.dumps(values, indent=2, ensure_ascii=False)


def as_yaml(values: Mapping[str, object]) -> str:
    """Format *values* as YAML, in their order.

    Raises:
        MissingExtraError: no YAML package is installed.
    """
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise MissingExtraError("Output as YAML", "yaml") from error
    text: str = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)
    return text.rstrip()


def show_findings(findings: Sequence[Finding], *, works: bool) -> None:
    """Print a table of *findings*, with a summary below it."""
    console = Console(highlight=False)
    console.print(findings_table(findings))
    summary = "Local runs will work." if works else 'Local runs will not work until the items marked "bad" are fixed.'
    console.print(Text(summary, style="green" if works else "bold red"))


def show_checks(found: Mapping[str, Sequence[Finding]]) -> None:
    """Print a table of findings for each executor."""
    console = Console(highlight=False)
    for label, findings in found.items():
        console.print(Text(f"executor {label}", style="bold"))
        console.print(findings_table(findings))


def show_prices(types: Sequence[MachineType], region: str) -> None:
    """Print a table of *types* with their prices in *region*."""
    table = Table(box=None, pad_edge=False)
    for title in ("type", "cores", "GiB", "GPUs", "$ an hour", "spot"):
        table.add_column(title, justify="left" if title == "type" else "right")
    for one in types:
        full, spot = one.price(region, is_spot=False), one.price(region, is_spot=True) if one.spot else None
        sizes = (f"{one.cores:g}", f"{one.gib:g}", f"{one.gpus:g}")
        table.add_row(one.name, *sizes, *("" if usd is None else f"{usd:.4f}" for usd in (full, spot)))
    Console(highlight=False).print(table)


def rows_of(findings: Sequence[Finding]) -> list[dict[str, object]]:
    """Findings as JSON has them."""
    return [{**vars(finding), "verdict": finding.verdict.value} for finding in findings]


def findings_table(findings: Sequence[Finding]) -> Table:
    """Build a table with a row for each finding; advice is in a second line of the row."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        words = Text(finding.found)
        if finding.advice:
            words.append(f"\n{finding.advice}", style="dim")
        table.add_row(finding.about, Text(finding.verdict.value, style=_STYLES[finding.verdict]), words)
    return table


def locked_table(resolved: Sequence[Resolved]) -> str:
    """Format images as they are now, one in a line, with what is locked below one that has moved."""
    lines = []
    for now, before, change in resolved:
        lines.append(f"{change.value:6}{now.reference}  {now.name}")
        if before is not None and change.value == "moved":
            lines.append(f"      locked is {before.name}, of {before.locked}")
    return "\n".join(lines)
