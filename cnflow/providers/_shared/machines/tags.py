"""Names and tags of the machines and other resources of a cloud; by them alone cnflow knows its own. No I/O.

::

    cnflow-run       run that made it                     cnflow-owner     user of the machine that the driver runs on
    cnflow-executor  label of the executor                cnflow-role      block, interchange or network
    cnflow-block     `block_tag` of the block             cnflow-rank      of the machine in its block
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
    from cnflow.ids import BlockId, RunId

RUN, OWNER, EXECUTOR, BLOCK = "cnflow-run", "cnflow-owner", "cnflow-executor", "cnflow-block"
ROLE, RANK, EXPIRES = "cnflow-role", "cnflow-rank", "cnflow-expires"
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


def block_tags(run: RunId, executor: str, block: BlockId, name: str, rank: int) -> dict[str, str]:
    """Return the tags of machine *rank* of a block whose `BlockRequest.name` is *name*."""
    del block
    tags = run_tags(run, executor)
    return {**tags, OWNER: owner(), ROLE: ROLE_BLOCK, BLOCK: block_tag(name), RANK: str(rank)}
