"""Converts between times of the database (UTC without a zone) and Unix seconds. No I/O."""

from __future__ import annotations

import datetime as dt

_UTC = dt.timezone.utc


def unix(moment: dt.datetime | None) -> float | None:
    """Return *moment* in seconds since 1970."""
    return None if moment is None else moment.replace(tzinfo=_UTC).timestamp()


def moment_of(seconds: float) -> dt.datetime:
    """Return the time of the database that is *seconds* after 1970."""
    return dt.datetime.fromtimestamp(seconds, _UTC).replace(tzinfo=None)
