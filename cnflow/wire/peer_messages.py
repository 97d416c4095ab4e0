"""Message by which managers of a run learn where to ask each other for items, beside those about blobs."""

from __future__ import annotations

from typing import Annotated, Union

import msgspec

from cnflow.wire.base import Message
from cnflow.wire.bulk import BulkMessage


class Serving(Message):
    """The manager *source* keeps items, and other managers may ask it directly for them.

    It comes from *source*, and goes on to each manager that asks the interchange for one of its items. One that cannot
    connect goes on to ask the interchange.
    """

    source: Annotated[bytes, msgspec.Meta(max_length=32)]
    hosts: Annotated[list[Annotated[str, msgspec.Meta(max_length=255)]], msgspec.Meta(max_length=16)]
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    key: Annotated[str, msgspec.Meta(max_length=40)]
    """Public key of that socket, Z85, which only managers of the run get: who knows it may connect. One that is
    empty is none, and such a manager is not asked."""


decode_lane = msgspec.msgpack.Decoder(Union[BulkMessage, Serving]).decode
"""Decodes what comes over the second connection of a manager, at either end."""
