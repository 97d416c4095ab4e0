"""The kind of cnflow's code that machines of clouds run: that with the driver's own Python, which fits any image."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from cnflow.capsule import carrying_kind
from cnflow.errors import BlockRejectedError

if TYPE_CHECKING:
    from cnflow.capsule import Kind


def carried_code() -> Kind:
    """Return the kind.

    Raises:
        BlockRejectedError: this Python cannot be carried.
    """
    kind = carrying_kind()
    if kind is None:
        raise BlockRejectedError(
            f"Machines of a cloud run the driver's Python, and {sys.executable} cannot be carried there: it is no "
            "CPython 3.10 to 3.14 on glibc. Run the script on such a one."
        )
    return kind
