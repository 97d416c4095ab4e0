"""Backends for cnflow in a package of their own."""
