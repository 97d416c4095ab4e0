"""CURVE keys of a run: one pair for its interchange, one for its managers; Z85 text as ZeroMQ wants it."""

from __future__ import annotations

from typing import NamedTuple

from cnflow.wire.sockets import new_key_pair


class RunKeys(NamedTuple):
    """Made new for each run and executor; reaches managers in their settings file only."""

    server_public: str
    server_secret: str
    manager_public: str
    manager_secret: str

    @classmethod
    def make(cls) -> RunKeys:
        """Fresh random keys."""
        return cls(*new_key_pair(), *new_key_pair())
