"""Names of environment variables in settings."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _check_names(value: dict[str, str]) -> dict[str, str]:
    """Refuse a name that no shell can set."""
    wrong = [name for name in value if not _NAME.fullmatch(name)]
    if wrong:
        raise ValueError(f"{wrong[0]!r} is no name of a variable")
    return value


Variables = Annotated[dict[str, str], AfterValidator(_check_names)]
"""Variables by their names, which a shell must be able to set."""
