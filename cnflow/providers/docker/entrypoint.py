"""Sees that an entrypoint which an image keeps passes its arguments on: one that does not would run no manager. No I/O.

::

    ENTRYPOINT + [python, probe] ──> a line of the probe: it executes its arguments
                                 ├─> other output, its end: it swallowed them ──> ImageUnusableError
                                 └─> neither within `PATIENCE`: it runs something of its own ──> the same
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.capsule import parse_probe
from cnflow.errors import ImageUnusableError
from cnflow.model.image_options import KEPT
from cnflow.providers.docker.requests import entrypoint_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.errors import BlockError
    from cnflow.model.image import Image
    from cnflow.providers.docker.single_run import Ended

PATIENCE = 30.0
"""Seconds that an entrypoint has until it executes its arguments."""

_QUOTED = 400
_ADVICE = (
    'An entrypoint that is kept must end by executing its arguments (in sh: exec "$@"). Change it, or leave out '
    "entrypoint=, so that cnflow's command takes its place."
)


def arguments_for(image: Image, probe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a container that runs the probe through the entrypoint of *image*.

    Args:
        image: keeps its entrypoint, or has another.
        probe: arguments of the container that ran the probe without it.
    """
    argv = [*probe["entrypoint"], *probe["command"]]
    others = {name: value for name, value in probe.items() if name not in {"entrypoint", "command"}}
    return {**others, **entrypoint_options(image, argv)}


def check(image: Image, ended: Ended) -> None:
    """Refuse an entrypoint after which the probe printed nothing.

    Raises:
        ImageUnusableError: it does not execute its arguments; quotes what it printed.
    """
    if parse_probe(ended.output) is not None:
        return
    printed = ended.output.strip()[:_QUOTED] or "nothing"
    if ended.code is None and not ended.was_ended:
        raise ImageUnusableError(_no_start(image, printed))
    end = f"was ended after {PATIENCE:g} s" if ended.was_ended else f"exited with code {ended.code}"
    raise ImageUnusableError(
        f"{_about(image)} swallows the command that it gets as its arguments: it did not run it, and {end}. It "
        f"printed: {printed}\n{_ADVICE}"
    )


def not_started(image: Image, error: BlockError) -> ImageUnusableError:
    """Return the error of an entrypoint whose container the engine refused."""
    return ImageUnusableError(_no_start(image, str(error)))


def _no_start(image: Image, words: str) -> str:
    is_missing = any(lack in words for lack in ("executable file not found", "no such file or directory"))
    advice = "Name a program that the image has, by its path, or one in its PATH." if is_missing else _ADVICE
    return f"{_about(image)} cannot be started: {words}\n{advice}"


def _about(image: Image) -> str:
    which = "The ENTRYPOINT" if image.entrypoint == KEPT else f"The entrypoint {list(image.entrypoint)}"
    return f"{which} of image {image.name!r}"
