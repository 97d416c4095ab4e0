"""Writes the report of a run as one HTML page: no scripts, nothing from elsewhere, dark and light. No I/O.

All texts of the user's tasks are escaped, and the page's policy (Content-Security-Policy) allows nothing but its own
style sheet.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cnflow.monitoring.queries.lifetimes import lived
from cnflow.monitoring.report import plots
from cnflow.monitoring.report.markup import escape
from cnflow.monitoring.report.style import STYLE
from cnflow.text import amount_of_memory, brief_duration, duration

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cnflow.monitoring.queries import views
    from cnflow.monitoring.report.collect import RunReport

_LONGEST = 400
"""Characters of a text in a table."""


def page(report: RunReport) -> str:
    """Return the page."""
    run = report.run
    name = run.name or run.script or run.run_dir
    sections = [
        _facts(report),
        _section("Progress", plots.legend(report.states) + plots.progress_plot(report.steps)),
        _section("Tasks a second", plots.throughput_plot(report.steps)),
        _section("Apps", plots.apps_plot(report.apps) + _apps(report)),
        _section("Workers", plots.workers_plot(report.bars)),
        _models(report),
        _errors(report),
        _failed(report),
        _usage(report),
        _blocks(report),
        _nodes(report),
        _images(report),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(name)}: report of a run</title><style>{STYLE}</style></head><body><main>"
        f'<h1>{escape(name)} <span class="state {escape(run.state)}">{escape(run.state)}</span></h1>'
        f"{''.join(sections)}"
        f"<footer>Made by cnflow report, {_moment(report.made)}</footer></main></body></html>\n"
    )


def _facts(report: RunReport) -> str:
    run = report.run
    end = run.ended or report.made
    settled = sum(report.states.get(state, 0) for state in ("done", "failed", "dependency_failed", "cancelled"))
    seconds = max(end - run.began, 1e-3)
    busy = sum(each.run_seconds for each in report.apps)
    usd = [block.usd for block in report.blocks if block.usd is not None]
    facts = [
        ("Tasks", f"{sum(report.states.values()):,}"),
        ("Done", f"{report.states.get('done', 0):,}"),
        ("Failed", f"{report.states.get('failed', 0) + report.states.get('dependency_failed', 0):,}"),
        ("Took" if run.ended else "Since", duration(seconds) if seconds >= 10 else brief_duration(seconds)),  # noqa: PLR2004 - two figures
        ("Tasks a second", f"{settled / seconds:.3g}"),
        ("Time in tasks", duration(busy)),
        ("Nodes", f"{len(report.nodes):,}"),
        ("Cost", f"${sum(usd):.2f}" if usd else ""),
    ]
    cards = "".join(f"<div><dt>{name}</dt><dd>{escape(text)}</dd></div>" for name, text in facts if text)
    rows = [
        ("began", _moment(run.began)),
        ("last event" if run.state == "crashed" else "ended", _moment(run.ended) if run.ended else "-"),
        ("user", f"{run.user} on {run.host}"),
        ("script", run.script),
        ("folder", run.run_dir),
        ("version", run.version),
        ("id", run.id),
    ]
    lines = "".join(f"<tr><th>{name}</th><td>{escape(text)}</td></tr>" for name, text in rows if text)
    return f'<dl class="cards">{cards}</dl><table class="facts">{lines}</table>'


def _apps(report: RunReport) -> str:
    rows = []
    for each in report.apps:
        ended = each.states.get("done", 0) + each.states.get("failed", 0)
        mean = brief_duration(each.run_seconds / ended) if ended else "-"
        total = sum(each.states.values())
        failed = each.states.get("failed", 0) + each.states.get("dependency_failed", 0)
        rows.append((each.app, f"{total:,}", f"{failed:,}", duration(each.run_seconds), mean))
    return _table(("app", "tasks", "failed", "time in tasks", "mean"), rows, {1, 2, 3, 4})


def _errors(report: RunReport) -> str:
    if not report.errors:
        return ""
    rows = [
        (f"{each.count:,}", each.app, each.type, _message(each), str(each.first_task), _moment(each.first))
        for each in report.errors
    ]
    return _section(
        "Causes of failures", _table(("tasks", "app", "error", "message", "first task", "at"), rows, {0, 4})
    )


def _message(group: views.ErrorGroup) -> str:
    """Return the message of a cause without its class, which has a column of its own."""
    return group.message.removeprefix(f"{group.type}: ")


def _failed(report: RunReport) -> str:
    if not report.failed:
        return ""
    rows = [
        (str(each.id), each.app, each.executor, each.host or "-", str(each.tries), each.error) for each in report.failed
    ]
    more = report.states.get("failed", 0) - len(rows)
    note = f"<p>{more:,} more failed: cnflow tasks --state failed</p>" if more > 0 else ""
    heads = ("task", "app", "executor", "host", "tries", "error")
    return _section("Failed tasks", _table(heads, rows, {0, 4}) + note)


def _usage(report: RunReport) -> str:
    if not report.usage:
        return ""
    rows = [
        (
            each.app,
            _number(each.asked_cores),
            _number(each.used_cores),
            _size(each.asked_memory_bytes),
            _size(each.median_peak_bytes),
            _size(each.peak_memory_bytes),
            "-" if each.gpu_percent is None else f"{each.gpu_percent:.0f} %",
            each.advice or "-",
        )
        for each in report.usage
    ]
    heads = ("app", "cores asked", "used", "memory asked", "median peak", "highest peak", "GPU", "advice")
    return _section("Resources asked and used", _table(heads, rows, {1, 2, 3, 4, 5, 6}))


def _blocks(report: RunReport) -> str:
    if not report.blocks:
        return ""
    rows = [
        (
            f"{each.executor}/{each.block}",
            each.provider,
            each.native,
            each.state,
            f"{each.tasks:,}",
            _share(each.busy_seconds, each.worker_seconds),
            duration(lived(each, report.run.ended or report.made)),
            "-" if each.usd is None else f"${each.usd:.2f}",
            each.reason,
        )
        for each in report.blocks
    ]
    heads = ("block", "provider", "id", "state", "tasks", "busy", "lived", "cost", "last message")
    return _section("Blocks", _table(heads, rows, {4, 5, 6, 7}))


def _nodes(report: RunReport) -> str:
    if not report.nodes:
        return ""
    rows = [
        (
            each.host,
            f"{each.executor}/{each.block}",
            f"{each.workers}",
            _number(each.cores if each.cores >= 0 else None),
            _size(each.memory_bytes if each.memory_bytes >= 0 else None),
            each.gpus or "-",
            f"{each.tasks:,}",
            _share(each.busy_seconds, each.workers * ((each.ended or report.run.ended or report.made) - each.began)),
            each.reason or "-",
        )
        for each in report.nodes
    ]
    heads = ("node", "block", "workers", "cores", "memory", "GPUs", "tasks", "busy", "end")
    return _section("Nodes", _table(heads, rows, {2, 3, 4, 6, 7}))


def _models(report: RunReport) -> str:
    if not report.models:
        return ""
    rows = [
        (
            each.model,
            each.version or "none was chosen",
            f"{each.requests:,}",
            f"{each.errors:,}",
            f"{each.refused:,}",
            *("-" if value is None else brief_duration(value) for value in each.latency),
            _number(each.rows / each.batches) if each.batches else "-",
            f"{each.image} {each.digest[:12]}".strip() or "-",
        )
        for each in report.models
    ]
    heads = ("model", "version", "requests", "errors", "refused", "p50", "p95", "p99", "rows a batch", "image")
    return _section("Models", _table(heads, rows, {2, 3, 4, 5, 6, 7, 8}))


def _images(report: RunReport) -> str:
    if not report.images:
        return ""
    rows = [
        (
            each.reference or each.image,
            each.digest or each.image_id or "-",
            each.python,
            f"{each.tasks:,}",
            ", ".join(each.apps),
        )
        for each in report.images
    ]
    return _section("Images", _table(("image", "content", "Python", "tasks", "apps"), rows, {3}))


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int]) -> str:
    def cell(tag: str, number: int, text: str) -> str:
        kind = ' class="num"' if number in right else ""
        short = text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."
        return f"<{tag}{kind}>{escape(short)}</{tag}>"

    head = "".join(cell("th", number, text) for number, text in enumerate(heads))
    body = "".join(f"<tr>{''.join(cell('td', number, text) for number, text in enumerate(row))}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _size(value: int | None) -> str:
    return "-" if value is None else amount_of_memory(value)


def _share(part: float, whole: float) -> str:
    return f"{min(1.0, part / whole):.0%}" if whole > 0 else "-"
