"""The command line that repeats one task of a run, as far as it was written down. No I/O."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnflow.monitoring.queries import views


def reproduction_command(run: views.RunView, detail: views.TaskDetail) -> str:
    """Return shell lines that repeat *detail* of *run*: its script again, in the same image.

    The arguments themselves are not in the database, which keeps a summary of them.
    """
    task = detail.task
    last = detail.tries[-1] if detail.tries else None
    image = (last.image if last is not None else "") or task.image
    lines = [
        _comment(f"Task {task.id} ({task.app}) of run {run.id}: {task.state}"),
        _comment(f"called with {detail.arguments}") if detail.arguments else "",
        _comment(f"asked for {', '.join(f'{name}={value}' for name, value in detail.resources.items())}")
        if detail.resources
        else "",
    ]
    if image:
        lines.append(f'docker run --rm -it -v "$PWD":/work -w /work {shlex.quote(image)} python')
    if run.script:
        lines.append(f"cnflow run {shlex.quote(run.script)}")
    lines.append(f"cnflow logs --run {shlex.quote(run.run_dir)} {task.id}")
    text = "\n".join(line for line in lines if line) + "\n"
    return "".join(mark if mark.isprintable() or mark == "\n" else "?" for mark in text)  # a pasted Ctrl-U is a key


def _comment(text: str) -> str:
    """Return a command without effect that has *text* in one line.

    No comment: zsh, into which it is pasted, has none at its prompt by default, and would run what stands in it.
    """
    return f": {shlex.quote(' '.join(text.split()))}"
