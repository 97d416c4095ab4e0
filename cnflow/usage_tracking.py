"""Usage statistics: off by default, and sent to the address that the user sets, and no other.

::

    begin ──> one datagram ......................... end of the run ──> level 3: one more datagram
              by a thread; no error reaches the run

Content, by `Config.usage_tracking`: level 1, the versions of cnflow, Python and the operating system, and the project's
name if one is set; level 2, also the classes in the configuration; level 3, also start and end of the run, the numbers
of its tasks and of the failed ones, and pseudonyms of user, host and script. At levels 1 and 2 nothing is sent at the
end, since its arrival would reveal the duration of the run. Each message is in the log, at level INFO.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import logging
import os
import platform
import secrets
import socket
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnflow import __version__
from cnflow.addresses import host_and_port
from cnflow.config import Settings
from cnflow.model.image import Image
from cnflow.model.task import TaskState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cnflow.config import Config

logger = logging.getLogger(__name__)

FORMAT = 1
"""Version of the messages; changes when a field changes its meaning."""

CLASSES, COUNTS = 2, 3
"""Lowest levels that send the classes and the counts."""

LONGEST = 60_000
"""Most bytes of a message; a datagram holds 65,507."""

_START_TIMEOUT = 0.1
"""Seconds that the end of a run waits for a start message that is not sent yet."""

_SECRET_SIZE = 32

_FAILED = (TaskState.FAILED, TaskState.DEPENDENCY_FAILED)


def begin(config: Config, counts: Callable[[], Mapping[TaskState, int]]) -> Callable[[], None]:
    """Send the first message of a run, from a thread of its own; does nothing at level 0.

    Args:
        config: of the run.
        counts: returns the number of tasks in each state; called at the end.

    Returns:
        A function that sends the last message. Never raises.
    """
    if not config.usage_tracking or config.usage_address is None:
        return _do_nothing
    sender = _Sender(config.usage_address)
    correlator, began = str(uuid.uuid4()), time.time()
    first = threading.Thread(
        target=lambda: sender.send(lambda: start_message(config, correlator, began)), name="cnflow-usage", daemon=True
    )
    first.start()

    def end() -> None:
        first.join(_START_TIMEOUT)
        if config.usage_tracking >= COUNTS and not first.is_alive():
            sender.send(lambda: end_message(config, correlator, began, time.time(), counts()))

    return end


def start_message(config: Config, correlator: str, began: float) -> dict[str, Any]:
    """Message for the start of a run; *correlator* is its random name, *began* in seconds since 1970."""
    level = config.usage_tracking
    message: dict[str, Any] = {
        "format": FORMAT,
        "event": "start",
        "correlator": correlator,
        "tracking_level": level,
        "cnflow_version": __version__,
        "python_version": platform.python_version(),
        "system": platform.system(),
        "release": platform.release(),
    }
    if config.project_name:
        message["project_name"] = config.project_name
    if level >= CLASSES:
        message["components"] = components(config)
    if level >= COUNTS:
        message.update(start=int(began), **_pseudonyms())
    return message


def end_message(
    config: Config, correlator: str, began: float, ended: float, counts: Mapping[TaskState, int]
) -> dict[str, Any]:
    """Message for the end of a run."""
    message: dict[str, Any] = {
        "format": FORMAT,
        "event": "end",
        "correlator": correlator,
        "tracking_level": config.usage_tracking,
        "end": int(ended),
        "execution_time": round(ended - began, 3),
        "executors": len(config.executors),
        "app_count": sum(counts.values()),
        "app_fails": sum(counts.get(state, 0) for state in _FAILED),
    }
    if config.project_name:
        message["project_name"] = config.project_name
    return message


def components(value: object) -> list[Any]:
    """Names of cnflow's classes in a configuration, each before those that it holds.

    A class of the user's own appears by the name of cnflow's class that it derives from. A class with a method
    ``get_usage_information()``, which returns a dict of JSON values, appears as ``{"c": name, ...}`` with them.
    """
    if isinstance(value, list | tuple):
        return [name for part in value for name in components(part)]
    if isinstance(value, Image) and not value:
        return []  # no image
    name = next((cls.__qualname__ for cls in type(value).__mro__ if cls.__module__.startswith("cnflow.")), None)
    if name is None:
        return []
    more = getattr(value, "get_usage_information", None)
    fields = type(value).model_fields if isinstance(value, Settings) else ()
    inner = [component for field in fields for component in components(getattr(value, field))]
    return [{"c": name, **more()} if callable(more) else name, *inner]


def _pseudonyms() -> dict[str, str]:
    """User, host and script as digests that cannot be found by trying names: each holds a secret of the user."""
    try:
        secret = _secret(Path.home() / ".local" / "state" / "cnflow" / "usage-secret")
        names = {"user": getpass.getuser(), "host": socket.gethostname(), "script": str(Path(sys.argv[0]).resolve())}
    except (OSError, RuntimeError, KeyError) as error:  # no home, or none to write to
        logger.debug("usage statistics go without pseudonyms: %s", error)
        return {}
    return {
        name: hashlib.blake2b(word.encode(), key=secret, digest_size=8, person=name.encode()).hexdigest()
        for name, word in names.items()
    }


def _secret(file: Path) -> bytes:
    try:
        secret = file.read_bytes()
    except FileNotFoundError:
        file.parent.mkdir(parents=True, exist_ok=True)
        secret = secrets.token_bytes(_SECRET_SIZE)
        with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as new:
            new.write(secret)
    if len(secret) != _SECRET_SIZE:  # another run is writing it
        raise OSError(f"{file} holds no secret")
    return secret


class _Sender:
    """Sends datagrams to one address, and logs each of them and each failure."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._found: tuple[socket.AddressFamily, Any] | None = None

    def send(self, make: Callable[[], dict[str, Any]]) -> None:
        """Send the message that *make* returns. Never raises."""
        try:
            body = json.dumps(make())
            if len(body) > LONGEST:
                body = json.dumps({**make(), "components": "too many"})
            self._post(body.encode())
        except Exception as error:  # noqa: BLE001 - the run goes on, whatever it is
            logger.info("usage statistics were not sent to %s: %s", self._address, error)
        else:
            logger.info("usage statistics sent to %s: %s", self._address, body)

    def _post(self, body: bytes) -> None:
        if self._found is None:  # at the start only, where a slow look-up delays nothing
            host, port = host_and_port(self._address)
            first = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            self._found = first[0], first[4]
        family, place = self._found
        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(body, place)


def _do_nothing() -> None:
    """End of statistics that were not begun."""
