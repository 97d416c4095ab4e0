"""Control socket of a live run: another process of the same user asks, the run answers; both ends.

::

    cnflow blocks ──ask(run_dir, {"question": ...})──> RUN_DIR/live ──> ControlServer ──> reply(question)
                  <──────────── one line of JSON ─────────────────────────────┘

Only the run's user can enter its folder. The server's thread sleeps until a client connects; one client is answered at
a time.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import threading
from typing import TYPE_CHECKING, Any

from cnflow.errors import ConfigurationError
from cnflow.text import describe_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Question = dict[str, Any]
    Reply = dict[str, Any]

logger = logging.getLogger(__name__)

FILE = "live"
"""Name of the socket file in a run's folder."""

_QUESTION_TIMEOUT = 2.0
"""Seconds from a connection to the end of its question."""

_ANSWER_TIMEOUT = 30.0
_CLOSE_TIMEOUT = 1.0
"""Seconds that an unfinished answer may delay the end of the run."""

_LONGEST_QUESTION = 64 * 1024


class ControlServer:
    """Answers the questions to one run.

    Args:
        folder: of the run.
        reply: answers a question, in the server's thread; an exception is sent as the answer.
    """

    def __init__(self, folder: Path, reply: Callable[[Question], Reply]) -> None:
        self._folder = folder
        self._reply = reply
        self._client: socket.socket | None = None
        self._closing = threading.Event()
        self._is_open = False
        self._thread = threading.Thread(target=self._serve, name="cnflow-live", daemon=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def open(self) -> None:
        """Begin to listen. On a file system without socket files the run goes on without answers."""
        try:
            with _at(self._folder) as address:
                self._socket.bind(address)
            self._socket.listen(8)
        except OSError as error:
            logger.info("other processes cannot ask this run: %s", error)
        else:
            self._is_open = True
            self._thread.start()

    def close(self) -> None:
        """End, also in the middle of an answer. Can be called twice, and on a server that is not open."""
        if self._closing.is_set():
            return
        self._closing.set()
        for end in (self._socket, self._client):
            if end is not None:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for it
        if self._is_open:
            with contextlib.suppress(OSError):
                (self._folder / FILE).unlink()
            if self._thread is not threading.current_thread():
                self._thread.join(_CLOSE_TIMEOUT)  # an answer may itself wait for others
        self._socket.close()

    def _serve(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._socket.accept()
            except OSError:
                self._closing.wait(1.0)  # such as too many open files, unless it is closing
                continue
            self._client = client
            if self._closing.is_set():  # `close` may have looked before the client was there
                client.close()
                return
            with client, contextlib.suppress(OSError):
                client.settimeout(_QUESTION_TIMEOUT)
                line = _line_from(client, _LONGEST_QUESTION)
                if line:  # otherwise the client only tested whether the run lives
                    client.sendall(self._answer(line))
            self._client = None

    def _answer(self, line: bytes) -> bytes:
        try:
            reply = self._reply(json.loads(line))
        except BaseException as error:  # noqa: BLE001 - the client gets the error; the run goes on
            reply = {"error": describe_error(error)}
        return json.dumps(reply).encode() + b"\n"


def ask(run: Path, question: Question) -> Reply:
    """Ask the run whose folder is *run*.

    Raises:
        OSError: no run answers there: it has ended.
        ConfigurationError: the run cannot answer that.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(_ANSWER_TIMEOUT)
        with _at(run) as address:
            client.connect(address)
        client.sendall(json.dumps(question).encode() + b"\n")
        text = _line_from(client)
    if not text:
        raise ConnectionResetError("the run ended before it answered")
    reply: Reply = json.loads(text)
    if "error" in reply:
        raise ConfigurationError(f"The run in {run} cannot answer. {reply['error']}")
    return reply


def _line_from(end: socket.socket, longest: int = -1) -> bytes:
    """Bytes up to the first end of a line, or to the end of the stream; at most *longest*."""
    with end.makefile("rb") as file:
        return file.readline(longest)


@contextlib.contextmanager
def _at(folder: Path) -> Iterator[str]:
    """Address of the socket file in *folder*, within the block; short, whatever the path of the folder.

    A socket's path may have 107 bytes (unix(7)).
    """
    number = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{number}/{FILE}"
    finally:
        os.close(number)


def find_live_run(place: Path) -> Path:
    """Folder of a live run: *place* itself, or the newest in *place*, a folder of runs.

    Raises:
        ConfigurationError: there is no live run.
    """
    if _is_live(place):
        return place
    folders = sorted((each for each in _folders_in(place) if each.name.isdigit()), key=lambda each: int(each.name))
    found = next((each for each in reversed(folders) if _is_live(each)), None)
    if found is not None:
        return found
    if folders:
        raise ConfigurationError(f"No run in {place} is live: the newest, {folders[-1]}, has ended.")
    if (place / FILE).exists() or place.name.isdigit():
        raise ConfigurationError(f"The run in {place} has ended.")
    raise ConfigurationError(f"There is no run in {place}. Add --run DIR with the folder of the run or of all runs.")


def _folders_in(place: Path) -> list[Path]:
    try:
        return [each for each in place.iterdir() if each.is_dir()]
    except OSError:
        return []


def _is_live(folder: Path) -> bool:
    """Return whether a run listens in *folder*; a run that was killed leaves its socket file behind."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client, _at(folder) as address:
            client.settimeout(_ANSWER_TIMEOUT)
            client.connect(address)
    except OSError:
        return False
    return True
