# pyright: basic
"""Functions without annotations: anything is accepted, and nothing is reported in code that is not strict."""

from __future__ import annotations

from cnflow import bash_app, join_app, python_app


@python_app
def double(number, times=1):  # type: ignore[no-untyped-def]
    return number * 2 * times


@bash_app
def show(text, outputs=()):  # type: ignore[no-untyped-def]
    return f"echo {text} > {outputs[0]}"


@join_app
def both(number):  # type: ignore[no-untyped-def]
    return [double(number), double(number)]


double(1, double(2)).result()
double([double(1), 2], walltime=3).result()
show(double(1), outputs=["out.txt"], stdout="log.txt").outputs[0].result()
both(double(1)).result()
