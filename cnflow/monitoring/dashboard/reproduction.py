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
        f"# Task {task.id} ({_comment(task.app)}) of run {_comment(run.id)}: {_comment(task.state)}",
        f"# called with {_comment(detail.arguments)}" if detail.arguments else "",
        f"# asked for {_comment(', '.join(f'{name}={value}' for name, value in detail.resources.items()))}"
        if detail.resources
        else "",
    ]
    if image:
        lines.append(f'docker run --rm -it -v "$PWD":/work -w /work {shlex.quote(image)} python')
    if run.script:
        lines.append(f"cnflow run {shlex.quote(run.script)}")
    lines.append(f"cnflow logs --run {shlex.quote(run.run_dir)} {task.id}")
    return "\n".join(line for line in lines if line) + "\n"


def _comment(text: str) -> str:
    """Return *text* in one line: a newline in a name would end the comment, and begin a command."""
    return " ".join(text.split()).replace("\0", "")
