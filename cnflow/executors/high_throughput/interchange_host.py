"""Places where an interchange runs: beside the driver, or elsewhere, through a command.

Two more are in `interchange_site` and `interchange_among_blocks`.

::

    Here      ── prepare ──> child process, which imports its modules while the provider is asked for an address
              ── START ───> gets its settings; stdin is a socket ──> ends with the driver

    Through   ── START ──> command (ssh ...) ──> relay ──> interchange, detached
              x the command ends, or hangs                 │ lives on, for its grace
              ── ATTACH ─> command ──> relay ────────────> │
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from cnflow.executors.high_throughput.interchange_process import InterchangeProcess
from cnflow.model.interchange_settings import RelayRequest
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from cnflow.interfaces import Provider
    from cnflow.model.interchange_settings import InterchangeSettings


class HostWords(NamedTuple):
    """Events of an interchange, in the words of messages."""

    gone: str = "was gone when its machine was reached again"
    """After "it": the session has ended elsewhere."""

    restarted: str = "the interchange is restarted; its managers keep their tasks"
    detached: str = "Its tasks go on for {grace} at the most, and results wait there."


class InterchangeHost(Protocol):
    """Starts interchanges, and connects with them.

    Attributes:
        grace: seconds that an interchange lives without its driver; 0 if it ends with its connection.
        name: of what is started, as messages name it.
        log_file: of the interchange, or of the command that connects with it.
        reaches_first: `connect` has reached its machine before the first `start`.
        words: for its events.
    """

    reaches_first: bool
    words: HostWords
    grace: Seconds
    name: str
    log_file: Path

    def prepare(self) -> None:
        """Start what can be started without settings, which come with `start`.

        Raises:
            OSError: nothing was started.
        """

    def connect(self, provider: Provider) -> None:
        """Reach the machine of the interchange, before the first `start`; called in the provisioner's thread.

        Raises:
            BlockError: it is not reached.
        """

    def addresses(self, provider: Provider) -> Collection[str]:
        """Addresses of that machine that blocks of *provider* could reach; empty when a local socket file will do."""

    def close(self) -> None:
        """End what was prepared and is not needed, and connections that are the host's own."""

    def start(self, settings: InterchangeSettings, replaces: str) -> InterchangeProcess:
        """Start a new interchange; kill the one of the session *replaces* before, if that is not empty.

        Raises:
            OSError: nothing was started.
        """

    def attach(self, session: str) -> InterchangeProcess:
        """Connect again with the interchange of *session*; only with a grace.

        Raises:
            OSError: nothing was started.
        """


class Here:
    """Runs interchanges as children of the driver.

    Args:
        log_file: of the interchange.
        arguments: of its command line.
        encode: makes its first line.
    """

    name = "the interchange"
    reaches_first = False
    words = HostWords()

    def __init__(
        self,
        log_file: Path,
        arguments: Sequence[str] = (),
        encode: Callable[[InterchangeSettings], bytes] = msgspec.json.encode,
    ) -> None:
        self.grace = Seconds(0.0)
        self.log_file = log_file
        self._arguments = arguments
        self._encode = encode
        self._prepared: InterchangeProcess | None = None

    def prepare(self) -> None:
        """See `InterchangeHost`."""
        self._prepared = self._run(None)

    def connect(self, provider: Provider) -> None:
        """Nothing: it is this machine."""

    def addresses(self, provider: Provider) -> Collection[str]:
        """See `InterchangeHost`."""
        return provider.endpoint_hosts()

    def close(self) -> None:
        """See `InterchangeHost`."""
        prepared, self._prepared = self._prepared, None
        if prepared is not None:
            prepared.stream.close()
            prepared.stop()

    def start(self, settings: InterchangeSettings, replaces: str) -> InterchangeProcess:
        """See `InterchangeHost`; the one before has ended."""
        del replaces
        line = self._encode(settings)
        prepared, self._prepared = self._prepared, None
        if prepared is not None:
            try:
                prepared.configure(line)
            except OSError:  # it has ended; the next one reports why
                prepared.stop()
            else:
                return prepared
        return self._run(line)

    def _run(self, first_line: bytes | None) -> InterchangeProcess:
        # The second one keeps the current folder's modules from going first; Python 3.10 does not know it.
        environment = {**os.environ, "PYTHONPATH": python_path(), "PYTHONSAFEPATH": "1"}
        argv = [sys.executable, "-m", "cnflow.interchange", *self._arguments]
        return InterchangeProcess(argv, first_line, self.log_file, environment=environment)

    def attach(self, session: str) -> InterchangeProcess:
        """See `InterchangeHost`."""
        raise NotImplementedError(session)


class Through:
    """Runs interchanges elsewhere, through a command that starts ``cnflow/interchange/__main__.py --attach`` there.

    Args:
        argv: the command; its stdin and stdout reach the relay.
        grace: see `InterchangeHost`.
        log_file: stderr of the command is appended here.
    """

    name = "the command of the interchange"
    reaches_first = False
    words = HostWords()

    def __init__(self, argv: Sequence[str], grace: Seconds, log_file: Path) -> None:
        self.grace = grace
        self._argv = argv
        self.log_file = log_file

    def prepare(self) -> None:
        """See `InterchangeHost`; nothing."""

    def connect(self, provider: Provider) -> None:
        """See `InterchangeHost`; nothing: each command connects by itself."""

    def addresses(self, provider: Provider) -> Collection[str]:
        """Nothing is known; settings with a command have an address."""
        del provider
        return ()

    def close(self) -> None:
        """See `InterchangeHost`; nothing."""

    def start(self, settings: InterchangeSettings, replaces: str) -> InterchangeProcess:
        """See `InterchangeHost`."""
        return self._run(RelayRequest(session=settings.session, replaces=replaces, settings=settings))

    def attach(self, session: str) -> InterchangeProcess:
        """See `InterchangeHost`."""
        return self._run(RelayRequest(session=session))

    def _run(self, request: RelayRequest) -> InterchangeProcess:
        return run_relay(self._argv, request, self.log_file)


def run_relay(
    argv: Sequence[str], request: RelayRequest, log_file: Path, given: Sequence[int] = ()
) -> InterchangeProcess:
    """Start the command *argv*, which reaches a relay, and send that its first line.

    Args:
        argv: command line.
        request: first line.
        log_file: stderr of the command is appended here.
        given: descriptors that it inherits.

    Raises:
        OSError: the command cannot be started.
    """
    return InterchangeProcess(argv, msgspec.json.encode(request), log_file, is_relay=True, given=given)


def python_path() -> str:
    """PYTHONPATH of the interchange: the driver's, but the script's folder last: its modules may have any name."""
    return os.pathsep.join(entry for entry in [*sys.path[1:], *sys.path[:1]] if entry)
