"""Runs Parsl's scripts unchanged: after ``import cnflow.compat.parsl``, ``import parsl`` imports cnflow.

The table `cnflow.compat.parsl.names` lists the covered names, module by module, with the parameters of Parsl 0.9 and of
today's Parsl. Any other name of Parsl raises `cnflow.errors.NotCoveredError` with the name and the reason. Where the
systems behave differently, cnflow's behaviour applies; the page "Coming from Parsl" of the documentation lists the
differences.

``cnflow run --parsl SCRIPT`` makes this import for a script that does not.
"""

from cnflow.compat.parsl.finder import install

__all__ = ["install"]

install()
