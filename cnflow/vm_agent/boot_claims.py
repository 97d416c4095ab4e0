"""Decides who gets what from the boot server: each token works once. No I/O.

::

    Entry(free) ── nonce a ──> Entry(claimed by a) ── nonce a ──> the same answer: a connection may have broken
                                     └────────────── nonce b ──> refused, and reported: somebody else has the token

Whoever reads a machine's user data later, such as a task by the cloud's metadata service, finds a token that is used.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple, Optional

REFUSAL = "cnflow: "
"""Start of an answer that is no tar; what follows is for the user."""

CODE, ORDER, REPORT = "code", "order", "report"
_PATH = re.compile(r"/([0-9a-f]{64})/([0-9a-f-]{36})/(code|order|report)")


class Call(NamedTuple):
    """What a machine asks for."""

    token: str
    nonce: str
    """Drawn by the machine when it booted."""

    what: str


class Ruling(NamedTuple):
    """Answer to a call."""

    is_allowed: bool
    claims: bool = False
    """The token is the caller's from now on."""

    words: str = ""
    """Reason of a refusal."""


def parse_path(path: str) -> Optional[Call]:
    """Return the call that *path* stands for; None for anything else."""
    found = _PATH.fullmatch(path)
    return Call(*found.groups()) if found else None


def entry_name(token: str) -> str:
    """Return the name of the entry of *token*, which does not show it."""
    return hashlib.sha256(token.encode()).hexdigest()


def rule_on(call: Call, *, is_known: bool, claimed_by: str) -> Ruling:
    """Return the answer to *call*.

    Args:
        call: of a machine.
        is_known: the token has an entry.
        claimed_by: nonce of the machine that has used the token; empty if none has.
    """
    if not is_known:
        return Ruling(False, words="this machine's token is not known here: its block is not wanted any more.")
    if not claimed_by:
        return Ruling(True, claims=True)
    if claimed_by != call.nonce:
        return Ruling(False, words="this machine's token was used before, by another machine or another boot.")
    return Ruling(True)
