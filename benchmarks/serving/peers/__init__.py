"""Other systems that serve the models: ``python -m benchmarks.serving.peers.NAME --port N [--batch]``, until SIGTERM.

Each has one replica for ``predict`` and one front, and is set up as its documentation advises for small requests. A
POST of ``{"rows": [[...]]}`` to `PATHS` is answered with the classes.
"""

from __future__ import annotations

import argparse

MAX_BATCH = 64
MAX_WAIT = 0.001
"""Seconds that a batch is waited for, where the system needs a number above 0."""

PATHS = {"ray_serve": "/", "bento": "/predict", "lit": "/predict"}


def arguments() -> argparse.Namespace:
    """Parse the command line of a peer."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", default="light")
    parser.add_argument("--batch", action="store_true")
    return parser.parse_args()
