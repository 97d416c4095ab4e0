"""Forwards batches between driver and manager: ``python -m benchmarks.floor.interchange DRIVER MANAGERS``."""

from __future__ import annotations

import sys

import zmq

from benchmarks.floor.wire import decode, encode


def main() -> None:
    """Run until the driver sends an empty message, and forward that."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
    driver, managers = context.socket(zmq.DEALER), context.socket(zmq.ROUTER)
    for end in (driver, managers):
        end.set_hwm(0)
    managers.bind(sys.argv[2])
    driver.connect(sys.argv[1])
    manager, _ = managers.recv_multipart()
    poller = zmq.Poller()
    poller.register(driver, zmq.POLLIN)
    poller.register(managers, zmq.POLLIN)
    going = True
    while going:
        ready = dict(poller.poll())
        if managers in ready:
            _, head, *frames = managers.recv_multipart(copy=False)
            driver.send_multipart([encode(decode(head.buffer)), *frames], copy=False)
        if driver in ready:
            head, *frames = driver.recv_multipart(copy=False)
            going = bool(head.buffer)
            managers.send_multipart([manager, encode(decode(head.buffer)) if going else b"", *frames], copy=False)


if __name__ == "__main__":
    main()
