"""``cnflow doctor``: checks what works on this machine."""

from typing import Annotated

import typer


def doctor(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    kubernetes: Annotated[
        bool, typer.Option("--kubernetes", help="Print the Role that cnflow needs in a namespace, for kubectl apply.")
    ] = False,
    namespace: Annotated[
        str | None, typer.Option(help="Namespace of that Role; by default the one of the kubeconfig.")
    ] = None,
) -> None:
    """Check what works on this machine, what does not, and what to do about it.

    The exit code is 0 if local runs will work, whatever is missing beyond them.
    """
    from cnflow.cli import checks, output

    if kubernetes:
        from cnflow.config import KubernetesProvider
        from cnflow.providers.kubernetes.checks import role_for

        typer.echo(role_for(KubernetesProvider(namespace=namespace)), nl=False)
        return
    findings = checks.examine()
    works = checks.local_runs_work(findings)
    if as_json:
        typer.echo(output.as_json({"local_runs_work": works, "findings": output.rows_of(findings)}))
    else:
        output.show_findings(findings, works=works)
    raise typer.Exit(0 if works else 1)
