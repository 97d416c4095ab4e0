"""Runs one task at a time in its own process, in the user's own environment.

Imports the standard library and, through `cnflow.wire.serialization`, cloudpickle; nothing else, so that the user's
packages never meet ours. Written for Python 3.8.
"""
