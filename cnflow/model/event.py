"""`Event`: what every event of `cnflow.model.events` has."""

from __future__ import annotations

import msgspec


class Event(msgspec.Struct, kw_only=True, tag_field="kind", gc=False, omit_defaults=True):
    """Something that happened; `time` is in seconds since 1970, by the clock of the machine where it did."""

    time: float
