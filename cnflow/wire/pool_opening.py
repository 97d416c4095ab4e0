"""First message of a client's bridge to a pool."""

from __future__ import annotations

import msgspec

from cnflow.model.manager_settings import PROTOCOL


class Opening(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Request that follows OPEN of `cnflow.wire.message_pipe`; JSON, so that other versions of cnflow can read it."""

    session: str
    """Identity of the session, as hexadecimal digits."""

    is_new: bool = False
    """Begin this session."""

    replaces: str = ""
    """Session of the same client that is to be forgotten first."""

    protocol: int
    cnflow: str

    @property
    def mismatch(self) -> str:
        """Reason to refuse a bridge of another protocol; empty for this one."""
        if self.protocol == PROTOCOL:
            return ""
        theirs = f"protocol {self.protocol} (cnflow {self.cnflow})"
        return f"the driver has {theirs}, and the pool protocol {PROTOCOL}: use the same version of cnflow for both"
