"""Runs tasks, one at a time: ``python -m benchmarks.floor.worker FD``."""

from __future__ import annotations

import contextlib
import pickle
import socket
import sys

from benchmarks.floor.wire import Pipe, pack
from benchmarks.functions import FUNCTIONS


def main() -> None:
    """Run tasks until the manager closes the socket."""
    pipe = Pipe(socket.socket(fileno=int(sys.argv[1])))
    with contextlib.suppress(EOFError):
        while True:
            for number, function, (body, *buffers) in pipe.read():
                arguments = pickle.loads(body, buffers=buffers)
                back: list[pickle.PickleBuffer] = []
                result = pickle.dumps(FUNCTIONS[function](*arguments), 5, buffer_callback=back.append)
                pipe.write(pack(number, function, [result, *(buffer.raw() for buffer in back)]))
            pipe.flush()


if __name__ == "__main__":
    main()
