"""Names and tags of the machines and other resources of a cloud; by them alone cnflow knows its own. No I/O.

::

    cnflow-run       run that made it                     cnflow-owner     user of the machine that the driver runs on
    cnflow-executor  label of the executor                cnflow-role      block, interchange or network
    cnflow-block     `block_tag` of the block             cnflow-rank      of the machine in its block
    cnflow-number    id of the block in its executor      cnflow-nodes     machines that the block has in all
    cnflow-expires   Unix time after which nobody needs it any more

Values have lower-case letters, digits, ``-`` and ``_``, at most 63, which every cloud takes. What was changed for that
ends with a digest, so that two texts never meet.
"""

from __future__ import annotations

import getpass
import hashlib
import re
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.ids import RunId
    from cnflow.model.block import BlockRequest

RUN, OWNER, EXECUTOR, BLOCK = "cnflow-run", "cnflow-owner", "cnflow-executor", "cnflow-block"
ROLE, RANK, EXPIRES = "cnflow-role", "cnflow-rank", "cnflow-expires"
NUMBER, NODES = "cnflow-number", "cnflow-nodes"
ROLE_BLOCK, ROLE_INTERCHANGE, ROLE_NETWORK = "block", "interchange", "network"

_LONGEST = 63
_DIGEST = 8


def tag_value(text: str, longest: int = _LONGEST) -> str:
    """Return *text* as the value of a tag, and as a part of a name; different for different texts."""
    plain = re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-_") or "x"
    if plain == text and len(text) <= longest:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]
    return f"{plain[: longest - _DIGEST - 1].rstrip('-_')}-{digest}"


def owner() -> str:
    """Return the value of `OWNER`: user and host of this process, which tell apart the resources of an account."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        user = "unknown"
    return tag_value(f"{user}-{socket.gethostname()}")


def run_tags(run: RunId, executor: str = "") -> dict[str, str]:
    """Return the tags by which the resources of *run*, or of one of its executors, are found."""
    found = {RUN: tag_value(run)}
    return {**found, EXECUTOR: tag_value(executor)} if executor else found


def block_tag(name: str) -> str:
    """Return the tag of the block of that name, which is its native id, too."""
    return tag_value(name, longest=58)


def machine_name(block: str, rank: int) -> str:
    """Return the name of machine *rank* of the block with the tag *block*: letters, digits and ``-``."""
    return f"{block.replace('_', '-')}-{rank}"


def block_tags(request: BlockRequest, rank: int, expires: float) -> dict[str, str]:
    """Return the tags of machine *rank* of the block of *request*, which nobody needs after *expires*."""
    return {
        **run_tags(request.run, request.executor),
        OWNER: owner(),
        ROLE: ROLE_BLOCK,
        BLOCK: block_tag(request.name),
        NUMBER: tag_value(request.block),
        NODES: str(request.nodes),
        RANK: str(rank),
        EXPIRES: f"{expires:.0f}",
    }


def interchange_tags(run: RunId, executor: str, expires: float) -> dict[str, str]:
    """Return the tags of the machine of the interchange of an executor."""
    return {**run_tags(run, executor), OWNER: owner(), ROLE: ROLE_INTERCHANGE, EXPIRES: f"{expires:.0f}"}


def is_of(found: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Return whether a machine with the tags *found* is the one that was asked for with the tags *wanted*.

    Its expiry may be another: it is counted from each request.
    """
    return all(found.get(name) == value for name, value in wanted.items() if name != EXPIRES)


def network_tags() -> dict[str, str]:
    """Return the tags of networks and the like, which all runs of this user and machine share."""
    return {OWNER: owner(), ROLE: ROLE_NETWORK}
