"""One front process: speaks HTTP on sockets that it inherits, and asks the server for every answer.

::

    python -m cnflow.serving.processes.front LINK SOCKET...     numbers of file descriptors
      Orders from the link ──> app, HTTP server ──> Greeting ──> serves ──Drain, SIGTERM, or the server is gone──> ends

It imports nothing of executors or models, and holds no state: it can be killed at any time.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from typing import TYPE_CHECKING

from cnflow.config.http_front import HttpSettings
from cnflow.config.logging import DATES, FORMAT
from cnflow.serving.admin import RemoteAdmin
from cnflow.serving.http.server import HttpServer, build_app
from cnflow.serving.link.remote_service import RemoteService
from cnflow.serving.processes.front_metrics import FrontMetrics
from cnflow.serving.processes.loops import new_loop

if TYPE_CHECKING:
    from collections.abc import Sequence

logger = logging.getLogger(__name__)


async def serve(link: socket.socket, sockets: Sequence[socket.socket]) -> int:
    """Serve until the server orders the end, or is gone; return the exit code."""
    service = await RemoteService.over(link)
    orders = await service.orders
    logging.basicConfig(level=orders.log_level, format=FORMAT, datefmt=DATES, stream=sys.stderr)
    settings = HttpSettings.model_validate_json(orders.settings)
    metrics = FrontMetrics(service)
    app = build_app(service, settings, metrics, admin=RemoteAdmin(service.command))
    server = HttpServer(app, settings, list(sockets))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, service.drain.set)
    serving = asyncio.ensure_future(server.serve())
    service.greet()
    reporting = asyncio.ensure_future(metrics.report_for_ever())
    drained = asyncio.ensure_future(service.drain.wait())
    await asyncio.wait((serving, drained), return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        serving.result()  # raises what ended it
    server.drain()
    await serving
    reporting.cancel()
    metrics.report()
    service.close()
    return 1 if service.has_lost_server else 0


def main(descriptors: Sequence[str]) -> int:
    """Serve; *descriptors* are those of the link and of the sockets."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server's; it drains
    link, *sockets = (socket.socket(fileno=int(each)) for each in descriptors)
    loop = new_loop()
    asyncio.set_event_loop(loop)
    return loop.run_until_complete(serve(link, sockets))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
