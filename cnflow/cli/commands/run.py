"""``cnflow run``: runs a script or a module and shows the progress of its tasks."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

_WITH_VALUE = {"--config"}


class RunCommand(TyperCommand):
    """Command whose options end with ``-m MODULE``, as those of Python do: what follows belongs to the module."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - a class of click, or of typer's copy of it
        """Parse *args* with a ``--`` after the name of the module."""
        return super().parse_args(ctx, end_options_after_module(args))


def end_options_after_module(args: list[str]) -> list[str]:
    """*args* with ``--`` after ``-m MODULE``, if that stands among the options before the script.

    >>> end_options_after_module(["-q", "-m", "sweep", "--lr", "0.1"])
    ['-q', '-m', 'sweep', '--', '--lr', '0.1']
    """
    number = 0
    while number < len(args) and args[number].startswith("-") and args[number] not in {"-", "--"}:
        option = args[number]
        if option[1] != "-" and "m" in option:  # also with flags before it, and with the value behind it
            end = number + (2 if option.endswith("m") else 1)
            return [*args[:end], "--", *args[end:]] if end <= len(args) else args  # typer reports the missing name
        number += 2 if option in _WITH_VALUE else 1
    return args


_Parsl = Annotated[
    bool, typer.Option("--parsl", help='Let "import parsl" in the script import cnflow: runs a Parsl script unchanged.')
]
_Dashboard = Annotated[
    bool, typer.Option("--dashboard", help="Record the run, and show it in a browser; prints the address.")
]


def run(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="SCRIPT [ARGS]", help="Python script and its arguments.", show_default=False),
    ] = None,
    *,
    module: Annotated[
        str,
        typer.Option(
            "-m", metavar="MODULE", help='Run this module as "python -m MODULE ARGS" would.', show_default=False
        ),
    ] = "",
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="Python, TOML, JSON or YAML file with the Config that cnflow.load() uses, and every app without it.",
        ),
    ] = None,
    parsl: _Parsl = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    dashboard: _Dashboard = False,
) -> None:
    """Run a Python script as "python SCRIPT ARGS" would, and show the progress of its tasks on stderr.

    Options of cnflow come before SCRIPT or -m MODULE; arguments after it belong to the script. The exit code is the
    script's.
    """
    from cnflow.cli.script import find_module, find_script, run_as_main
    from cnflow.cli.watch import Watch

    if not module and not arguments:
        raise typer.BadParameter("name a script, or a module after -m", param_hint="SCRIPT")
    if parsl:
        import cnflow.compat.parsl  # noqa: F401 - its import is the switch

    script, *args = arguments or [""]
    program = find_module(module, arguments or []) if module else find_script(script, args)
    if config:
        _use_config(config, parsl=parsl)
    if dashboard:
        from cnflow.config.selection import want_dashboard

        want_dashboard()
    watch = None if quiet else Watch()
    if watch:
        watch.watch_runs()
    raise typer.Exit(run_as_main(program, before_traceback=watch.stop if watch else None))


def _use_config(path: Path, *, parsl: bool) -> None:
    """Make the file at *path* the configuration of the script, which need not load it itself."""
    from cnflow.config.selection import use_file
    from cnflow.dataflow import loaded_run

    use_file(path)
    if parsl:
        from cnflow.compat.parsl.runs import load
    else:
        from cnflow.assemble import load  # type: ignore[assignment]  # takes more
    loaded_run.load_if_first(load)
