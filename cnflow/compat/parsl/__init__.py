"""Runs Parsl's scripts unchanged: after ``import cnflow.compat.parsl``, ``import parsl`` means cnflow.

What is covered stands in `cnflow.compat.parsl.names`, module by module, with the names and parameters of Parsl 0.9 and
of today's. All else raises `cnflow.errors.NotCoveredError`, which names it and says why. Where the two systems differ
in what they do, cnflow's way holds; the page "Coming from Parsl" of the documentation lists where.

``cnflow run --parsl SCRIPT`` does this import for a script that does not.
"""

from cnflow.compat.parsl.finder import install

__all__ = ["install"]

install()
