"""``cnflow doctor``: checks what works on this machine."""

from typing import Annotated

import typer


def doctor(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check what works on this machine, what does not, and what to do about it.

    The exit code is 0 if local runs will work, whatever is missing beyond them.
    """
    from cnflow.cli import checks, output

    findings = checks.examine()
    works = checks.local_runs_work(findings)
    if as_json:
        typer.echo(output.as_json({"local_runs_work": works, "findings": output.rows_of(findings)}))
    else:
        output.show_findings(findings, works=works)
    raise typer.Exit(0 if works else 1)
