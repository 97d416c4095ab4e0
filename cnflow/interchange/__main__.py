"""``python -m cnflow.interchange``: reads its settings from stdin, which stays open as long as the driver lives."""

from __future__ import annotations

import logging
import os
import signal
import sys

import msgspec

from cnflow.clock import SystemClock
from cnflow.interchange.loop import Loop
from cnflow.model.interchange_settings import InterchangeSettings
from cnflow.open_files import raise_open_file_limit


def _read_first_line() -> bytes:
    """Read a line of stdin byte by byte: a buffered reader would hide the end of the stream from the loop's poll."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(sys.stdin.fileno(), 1)):
        line += byte
    return line


def main() -> None:
    """Run the interchange until its driver ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver handles Ctrl-C
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    raise_open_file_limit()  # a descriptor for each manager
    try:
        loop = Loop(msgspec.json.decode(_read_first_line(), type=InterchangeSettings), SystemClock())
    except OSError as error:
        sys.exit(f"cannot listen: {error}")
    loop.run()


if __name__ == "__main__":
    main()
