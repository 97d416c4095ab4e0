"""CURVE keys of a run: one pair for its interchange, one for its managers; Z85 text as ZeroMQ wants it."""

from __future__ import annotations

from typing import NamedTuple

import zmq


class RunKeys(NamedTuple):
    """Made new for each run and executor; reaches managers in their settings file only."""

    server_public: str
    server_secret: str
    manager_public: str
    manager_secret: str

    @classmethod
    def make(cls) -> RunKeys:
        """Fresh random keys."""
        server_public, server_secret = zmq.curve_keypair()
        manager_public, manager_secret = zmq.curve_keypair()
        return cls(server_public.decode(), server_secret.decode(), manager_public.decode(), manager_secret.decode())
