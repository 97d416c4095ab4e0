"""Process of a run's dashboard; see `cnflow.monitoring.dashboard.process`."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time

from cnflow.errors import ConfigurationError
from cnflow.monitoring.dashboard.server import address_of, listen, serve
from cnflow.monitoring.queries.reader import Reader

_PATIENCE = 120.0
"""Seconds that the database may take to come: its writer makes it once the run has begun."""


def main() -> int:
    """Serve until stdin ends; return the exit code."""
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_driver, daemon=True).start()
    try:
        listener = listen(order["listen"], order["port"])
        _answer({"address": address_of(listener, order["token"])})
        reader = _reader(order["url"])
    except ConfigurationError as error:
        _answer({"error": str(error)})
        return 2
    serve(reader, listener, token=order["token"], hosts=tuple(order["hosts"]), can_act=order["can_act"])
    return 0


def _reader(url: str) -> Reader:
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return Reader(url)
        except ConfigurationError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def _answer(words: dict[str, str]) -> None:
    print(json.dumps(words), flush=True)  # noqa: T201 - the driver reads it


def _end_with_driver() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
