"""``python -m cnflow.interchange``: its settings come on stdin, which stays open while the driver lives."""

from __future__ import annotations

import logging
import os
import signal
import sys

import msgspec

from cnflow.interchange.loop import Loop
from cnflow.model.interchange_settings import InterchangeSettings


def _first_line() -> bytes:
    """Of stdin, read byte by byte: what is buffered would hide the end of the stream from the loop's poll."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(sys.stdin.fileno(), 1)):
        line += byte
    return line


def main() -> None:
    """Run the interchange until its driver ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to handle
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        loop = Loop(msgspec.json.decode(_first_line(), type=InterchangeSettings))
    except OSError as error:
        sys.exit(f"cannot listen: {error}")
    loop.run()


if __name__ == "__main__":
    main()
