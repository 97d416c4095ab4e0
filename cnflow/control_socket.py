"""Questions to a run that goes on, from another process of the same user: both ends.

A run listens at a socket file in its folder, which only its user can enter. A question is a line of JSON, and so is its
answer. The thread that answers sleeps until somebody asks.
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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Question = dict[str, Any]
    Reply = dict[str, Any]

logger = logging.getLogger(__name__)

FILE = "live"
"""Name of the socket file in a run's folder."""

_ASKED_WITHIN = 2.0
"""Seconds that whoever connects has to say what he wants."""

_ANSWERED_WITHIN = 30.0
_END_WITHIN = 1.0
"""Seconds that an answer under way may delay the end of the run."""

_LONGEST_QUESTION = 64 * 1024


class ControlServer:
    """Answers for one run.

    Args:
        folder: of the run.
        reply: makes the answer to a question, in a thread of its own; what it raises is the answer, too.
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
        """Begin. A file system without socket files only means that nobody can ask."""
        try:
            with _at(self._folder) as address:
                self._socket.bind(address)
            self._socket.listen(8)
        except OSError as error:
            logger.info("this run cannot be asked by other processes: %s", error)
        else:
            self._is_open = True
            self._thread.start()

    def close(self) -> None:
        """End, also in the middle of an answer. Can be called twice, and if it was not opened."""
        if self._closing.is_set():
            return
        self._closing.set()
        for end in (self._socket, self._client):
            if end is not None:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)  # wakes who waits for it
        if self._is_open:
            with contextlib.suppress(OSError):
                (self._folder / FILE).unlink()
            if self._thread is not threading.current_thread():
                self._thread.join(_END_WITHIN)  # an answer that waits for others is not waited for
        self._socket.close()

    def _serve(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._socket.accept()
            except OSError:
                self._closing.wait(1.0)  # such as too many open files, if it is not the end
                continue
            self._client = client
            if self._closing.is_set():  # whoever closes may have looked before it was there
                client.close()
                return
            with client, contextlib.suppress(OSError):
                client.settimeout(_ASKED_WITHIN)
                line = _line_from(client, _LONGEST_QUESTION)
                if line:  # otherwise he only wanted to know whether somebody is here
                    client.sendall(self._answer(line))
            self._client = None

    def _answer(self, line: bytes) -> bytes:
        try:
            reply = self._reply(json.loads(line))
        except Exception as error:  # noqa: BLE001 - whoever asked is told; the run goes on
            reply = {"error": f"{type(error).__name__}: {error}"}
        return json.dumps(reply).encode() + b"\n"


def ask(run: Path, question: Question) -> Reply:
    """Ask the run whose folder is *run*.

    Raises:
        OSError: nobody answers there: the run has ended.
        ConfigurationError: the run cannot answer that.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(_ANSWERED_WITHIN)
        with _at(run) as address:
            line.connect(address)
        line.sendall(json.dumps(question).encode() + b"\n")
        text = _line_from(line)
    if not text:
        raise ConnectionResetError("the run ended before it answered")
    reply: Reply = json.loads(text)
    if "error" in reply:
        raise ConfigurationError(f"The run in {run} cannot answer. {reply['error']}")
    return reply


def _line_from(end: socket.socket, longest: int = -1) -> bytes:
    """Up to the first end of a line, or all there is; at most *longest* bytes."""
    with end.makefile("rb") as file:
        return file.readline(longest)


@contextlib.contextmanager
def _at(folder: Path) -> Iterator[str]:
    """Address of the socket file in *folder*, as long as this is open: the folder's own path may be too long for one.

    A socket's path may have 107 bytes (unix(7)).
    """
    number = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{number}/{FILE}"
    finally:
        os.close(number)


def going_on(place: Path) -> Path:
    """Folder of the run that *place* means: a run's own, or the newest live one in a folder of runs.

    Raises:
        ConfigurationError: there is none that goes on.
    """
    if _is_live(place):
        return place
    folders = sorted((each for each in _folders_in(place) if each.name.isdigit()), key=lambda each: int(each.name))
    found = next((each for each in reversed(folders) if _is_live(each)), None)
    if found is not None:
        return found
    if folders:
        raise ConfigurationError(f"No run in {place} goes on: the newest, {folders[-1]}, has ended.")
    if (place / FILE).exists() or place.name.isdigit():
        raise ConfigurationError(f"The run in {place} has ended.")
    raise ConfigurationError(f"There is no run in {place}. Say --run DIR, with the folder of the run or of all runs.")


def _folders_in(place: Path) -> list[Path]:
    try:
        return [each for each in place.iterdir() if each.is_dir()]
    except OSError:
        return []


def _is_live(folder: Path) -> bool:
    """Whether somebody listens there; a run that was killed leaves its file behind."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line, _at(folder) as address:
            line.settimeout(_ANSWERED_WITHIN)
            line.connect(address)
    except OSError:
        return False
    return True
