"""Prepares a database of monitoring, whose URL stands on stdin; stderr says why it cannot be used."""

from __future__ import annotations

import sys

from cnflow.errors import ConfigurationError
from cnflow.monitoring.store.database import prepare


def main() -> int:
    """Prepare the database."""
    try:
        prepare(sys.stdin.read().strip())
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
