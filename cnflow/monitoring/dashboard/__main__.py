"""Process of the dashboard: ``python -m cnflow.monitoring.dashboard URL --port 8080 --token T``."""

from __future__ import annotations

import argparse
import sys

from cnflow.errors import ConfigurationError
from cnflow.monitoring.dashboard.server import listen, serve
from cnflow.monitoring.queries.reader import Reader


def main() -> int:
    """Serve until a signal; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m cnflow.monitoring.dashboard")
    parser.add_argument("url")
    parser.add_argument("--listen", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--token", default="")
    parser.add_argument("--host-name", action="append", default=[])
    parser.add_argument("--read-only", action="store_true")
    given = parser.parse_args()
    try:
        reader = Reader(given.url)
        listener = listen(given.listen, given.port)
    except ConfigurationError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command
        return 2
    serve(reader, listener, token=given.token, hosts=tuple(given.host_name), can_act=not given.read_only)
    return 0


if __name__ == "__main__":
    sys.exit(main())
