"""Backends for cnflow, as somebody else would write them."""
