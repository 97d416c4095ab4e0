"""Events of models that are served, or that workers load.

::

    server of models ──a version has another state, weights move──> ModelEvent
                     └─every few seconds, of what has changed────> ModelFigures: counts since the one before
    worker has loaded a model, or cannot ──executor──────────────> ModelEvent with its place

No event is made for a single request: what requests have done is in the counts.
"""

from __future__ import annotations

from typing import List, Tuple

import msgspec

from cnflow.model.event import Event

ABOVE_ALL = 1e12
"""Upper end of the last bucket of a histogram, which has none."""

Buckets = List[Tuple[float, int]]
"""Upper end of a bucket, and how many values have come into it; those without any are left out."""


class ModelEvent(Event, tag="model"):
    """Something happened to a version of a model."""

    model: str
    version: str
    state: str
    """Of the version: ``loading``, ``ready``, ``asleep``, ``failed``, ``draining`` or ``gone``. What was done:
    ``weights`` of the model are those in `weights`; it gets copies (``shadow``), or none any more (``no_shadow``). In a
    worker: ``loaded`` it, or ``load_failed``."""

    reason: str = ""
    weights: dict[str, float] = msgspec.field(default_factory=dict)
    """Shares of the calls, by version."""

    image: str = ""
    digest: str = ""
    """Of the image, without ``sha256:``."""

    executor: str = ""
    manager: str = ""
    worker: int = -1
    seconds: float = -1.0
    """That the worker took."""


class ModelFigures(Event, tag="model_figures"):
    """Counts of one version since the last figures, and its state now."""

    model: str
    version: str
    """Empty for requests for which none was chosen: they were refused before."""

    interval: float
    """Seconds that were counted."""

    state: str = ""
    reason: str = ""
    image: str = ""
    digest: str = ""
    weight: float = -1.0
    """Share of the calls that name no version, 0 to 1."""

    is_shadow: bool = False
    workers: int = -1
    in_flight: int = -1
    """Calls that the version answers at this moment."""

    waiting: int = -1
    """Calls that wait in the server at this moment, for any version of the model."""

    requests: int = 0
    refused: int = 0
    """Of them, those answered with a status of 400 to 499."""

    errors: int = 0
    """Of them, those answered with a status of 500 or more."""

    rows: int = 0
    batches: int = 0
    copies: int = 0
    """Copies of calls, for a shadow."""

    copy_errors: int = 0
    pieces: int = 0
    attempts: int = 0
    """Further attempts of calls whose worker, node or interchange was lost."""

    histograms: dict[str, Buckets] = msgspec.field(default_factory=dict)
    """By name: ``latency`` in the front, ``queue``, ``compute``, ``first_piece`` in seconds; ``batch`` in rows."""
