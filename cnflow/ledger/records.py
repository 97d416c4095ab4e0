"""Records of a ledger: one line of JSON each. No I/O.

Order in the file, for one executor::

    DriverStarted ─> ExecutorStarted ─> BlocksNamed ─> BlocksAccepted ─> BlocksEnded
         │                                  │  before submit   after it        │ the end was confirmed
         │                                  └── without an answer: `find` of   └── else: BlocksLeft
         └── again for each driver that      the provider closes the gap
             adopts the run
"""

from __future__ import annotations

from typing import Any

import msgspec

from cnflow.ids import BlockId, NativeId, RunId


class DriverStarted(msgspec.Struct, tag="driver", tag_field="record", frozen=True):
    """A driver has the run from now on."""

    run: RunId
    generation: int
    """0 for the driver that began the run; one more for each that adopted it."""

    host: str
    pid: int
    cnflow: str
    """Version."""

    protocol: int
    """Version of the messages that its managers send."""


class ExecutorStarted(msgspec.Struct, tag="executor", tag_field="record", frozen=True, kw_only=True):
    """The interchange of an executor listens; its blocks can connect."""

    label: str
    image: str = ""
    provider: dict[str, Any] | None = None
    """Options of the provider, ``kind`` included; None where a file cannot hold them."""

    hosts: tuple[str, ...] = ()
    """Addresses of the interchange; empty for a socket file."""

    endpoint: str = ""
    """URL for managers, with ``{host}`` in place of one of the hosts."""

    server_public: str = ""
    """CURVE key; empty for a plain socket."""

    server_secret: str = ""
    """CURVE secret key; empty for a plain socket, and in a run that cannot be adopted."""


class BlocksNamed(msgspec.Struct, tag="named", tag_field="record", frozen=True):
    """Blocks that are about to be submitted; the run, the label and the id of a block make its name."""

    label: str
    blocks: dict[BlockId, str]
    """Public key of each; empty for a plain socket, and in a run that cannot be adopted."""


class BlocksAccepted(msgspec.Struct, tag="accepted", tag_field="record", frozen=True):
    """The provider has accepted these blocks, or lists them."""

    label: str
    natives: dict[BlockId, NativeId]


class BlocksEnded(msgspec.Struct, tag="ended", tag_field="record", frozen=True):
    """Blocks that were refused, or whose end was confirmed: nothing of them is left."""

    label: str
    blocks: list[BlockId]


class BlocksLeft(msgspec.Struct, tag="left", tag_field="record", frozen=True):
    """Blocks that may run on although they were cancelled."""

    label: str
    reasons: dict[NativeId, str]


class ManagerUp(msgspec.Struct, tag="up", tag_field="record", frozen=True):
    """A manager has registered. Written only in a run that can be adopted, as the next record."""

    label: str
    manager: str
    """Id, in hexadecimal digits."""

    block: BlockId


class ManagerDown(msgspec.Struct, tag="down", tag_field="record", frozen=True):
    """A manager is gone."""

    label: str
    manager: str


BlockRecord = BlocksNamed | BlocksAccepted | BlocksEnded | BlocksLeft
Record = DriverStarted | ExecutorStarted | BlockRecord | ManagerUp | ManagerDown

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


def encode(record: Record) -> bytes:
    """Return the line of *record*."""
    return _encoder.encode(record) + b"\n"


def decode_lines(content: bytes) -> tuple[list[Record], int]:
    """Return the records of a ledger, and the number of its bytes that are whole lines.

    The writer of the last line may have been killed in the middle of it: a line without an end is left out.

    Raises:
        ValueError: a whole line is no record; the message has its number.
    """
    whole = content.rfind(b"\n") + 1
    records: list[Record] = []
    for number, line in enumerate(content[:whole].splitlines(), 1):
        try:
            records.append(_decoder.decode(line))
        except msgspec.MsgspecError as error:
            raise ValueError(f"line {number}: {error}") from error
    return records, whole
