"""Channels over OpenSSH's client: commands and files of all of them pass through one connection per login.

::

    run ──> connection.ensure ──> ssh -S SOCKET HOST 'exec /bin/sh -c ...' ──> output between marks ──> Completed
                                     ├── nothing was sent: connected anew, and again, once
                                     ├── no room: again a little later
                                     └── broke midway, too late: ChannelError, nothing is known
"""

from __future__ import annotations

import atexit
import posixpath
import secrets
import subprocess
import threading
from typing import TYPE_CHECKING

from cnflow.channels import ssh_command, ssh_failures
from cnflow.channels.answers import NoAnswers, TokenAnswers, UserAnswers
from cnflow.channels.connection import Connection
from cnflow.channels.quoting import READ_AND_RUN, header, marked_script, plain_script, remote_command, unmarked
from cnflow.clock import SystemClock
from cnflow.errors import ChannelError
from cnflow.interfaces.channel import Completed
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.channels.answers import Answers
    from cnflow.channels.quoting import Output
    from cnflow.config.channels import OAuthSSHChannel, SSHInteractiveLoginChannel, SSHSettings

_PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between tries of a session for which there is no room."""

_FILE_TIMEOUT = Seconds(120.0)
_BYTES_PER_SECOND = 100_000
"""Of a slow line, over which a file still arrives in time."""

_PUT = """\
umask 077
case $1 in */*) mkdir -p -- "${1%/*}" || exit 1;; esac
if [ -d "$1" ]; then echo "$1: is a directory" >&2; exit 1; fi
part=$1.part.$$.$4
trap 'rm -f -- "$part"' EXIT
trap 'exit 1' HUP INT TERM
: > "$part" && chmod "$2" "$part" && cat > "$part" || exit 1
[ "$(wc -c < "$part")" -eq "$3" ] || { echo "$1: only a part of it arrived" >&2; exit 1; }
mv -f -- "$part" "$1"
"""
"""Writes stdin, of ``$3`` bytes, to the file ``$1`` with mode ``$2``."""


class SSHBackend:
    """See `cnflow.interfaces.Channel`. Backends of equal settings share one login.

    Args:
        settings: of any channel over ssh.
        answers: to the questions of a login.
        login_timeout: seconds for a login beyond those for the connection; None is `SSHSettings.connect_timeout`.
    """

    is_local = False

    def __init__(
        self, settings: SSHSettings, answers: Answers | None = None, login_timeout: Seconds | None = None
    ) -> None:
        self.name = ssh_command.destination(settings)
        self._settings = settings
        self._answers = answers or NoAnswers()
        self._login_timeout = login_timeout or Seconds(settings.connect_timeout)
        self._lock = threading.Lock()
        self._borrowed: _Shared | None = None

    def open(self) -> None:
        """Connect."""
        self._shared.connection.ensure()

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: Seconds | None = None) -> Completed:
        """Run a session."""
        done = self._run(argv, stdin, timeout)
        code = 0 if done.exit_code is None else done.exit_code
        return Completed(code, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def command(self, argv: Sequence[str]) -> list[str]:
        """A session of ssh, which connects by itself, without the user, if there is no connection."""
        return self._session(argv, self._shared.connection.socket)

    def start(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        """Connect, and start the session."""
        command = self._session(argv, self._shared.connection.ensure())
        try:
            return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except OSError as error:
            raise ChannelError(ssh_failures.missing_program(self._settings, error).message) from error

    def put(self, content: bytes, path: str, mode: int = 0o600) -> None:
        """Write beside, compare the size, rename."""
        argv = ["sh", "-c", _PUT, "cnflow", _safe(path), f"{mode:o}", str(len(content)), secrets.token_hex(4)]
        done = self._run(argv, content, _time_for(len(content)))
        if done.exit_code:
            raise self._file_error(path, "written", done)

    def get(self, path: str) -> bytes:
        """Print the file."""
        done = self._run(["cat", "--", path], b"", None)
        if done.exit_code:
            raise self._file_error(path, "read", done)
        return done.stdout

    def close(self) -> None:
        """Leave the connection, which ends with the last that has it."""
        with self._lock:
            borrowed, self._borrowed = self._borrowed, None
        if borrowed is not None:
            _SHARED.give_back(borrowed)

    @property
    def _shared(self) -> _Shared:
        """The connection, from the first use to `close`; a use after that begins anew."""
        with self._lock:
            if self._borrowed is None:
                self._borrowed = _SHARED.borrow(self._settings, self._answers, self._login_timeout)
            return self._borrowed

    def _session(self, argv: Sequence[str], socket: str) -> list[str]:
        script = plain_script(argv, setup=self._settings.setup, environment=self._settings.environment)
        return ssh_command.session_command(self._settings, socket, remote_command(script), may_connect=True)

    def _run(self, argv: Sequence[str], stdin: bytes, timeout: Seconds | None) -> Output:
        """Run a session to its end; again if nothing of it was sent.

        Raises:
            ChannelError: it did not end in time, or its end was not seen.
        """
        mark = f"cnflow-{secrets.token_hex(8)}"
        script = marked_script(argv, mark, setup=self._settings.setup, environment=self._settings.environment)
        pauses, is_again, shared = iter(_PAUSES), False, self._shared
        while True:
            socket = shared.connection.ensure()
            with shared.sessions:
                done = self._exchange(argv[0], socket, header(script) + stdin, timeout)
            output = unmarked(done.stdout, done.stderr, mark)
            if output.exit_code is not None:
                return output
            words = output.stderr.decode(errors="replace")
            if not output.has_started and ssh_failures.FULL.search(words):
                pause = next(pauses, None)
                if pause is None:
                    raise ChannelError(ssh_failures.no_room(self._settings, words))
                shared.pause.wait(pause)
            elif not output.has_started and ssh_failures.is_unsent(words) and not is_again:
                is_again = True
                shared.connection.drop(socket)
            elif not output.has_started and done.returncode != 255:  # noqa: PLR2004 - ssh's own failures
                text = output.stdout.decode(errors="replace")
                failure = ssh_failures.login_failure(self._settings, words, text, exit_code=done.returncode)
                raise ChannelError(failure.message)
            else:
                raise ChannelError(ssh_failures.lost_connection(self._settings, argv[0], words))

    def _exchange(
        self, name: str, socket: str, stdin: bytes, timeout: Seconds | None
    ) -> subprocess.CompletedProcess[bytes]:
        command = ssh_command.session_command(self._settings, socket, READ_AND_RUN)
        try:
            return subprocess.run(
                command, input=stdin, capture_output=True, timeout=timeout, check=False, start_new_session=True
            )
        except subprocess.TimeoutExpired:
            self._shared.connection.doubt(socket)
            raise ChannelError(f"{name} did not end within {timeout:g} s on {self.name}.") from None
        except OSError as error:
            raise ChannelError(ssh_failures.missing_program(self._settings, error).message) from error

    def _file_error(self, path: str, verb: str, done: Output) -> ChannelError:
        words = done.stderr.decode(errors="replace").strip()[-400:]
        return ChannelError(f"{path} cannot be {verb} on {self.name}: {words}.")


def interactive_backend(settings: SSHInteractiveLoginChannel) -> SSHBackend:
    """Make the live half of a channel whose login asks the user."""
    return SSHBackend(settings, UserAnswers(settings), Seconds(settings.login_timeout))


def oauth_backend(settings: OAuthSSHChannel) -> SSHBackend:
    """Make the live half of a channel whose login takes a token."""
    return SSHBackend(settings, TokenAnswers(settings))


class _Shared:
    """A connection and its users."""

    def __init__(self, key: str, connection: Connection, sessions: int) -> None:
        self.key = key
        self.connection = connection
        self.sessions = threading.BoundedSemaphore(sessions)
        self.pause = threading.Event()
        self.users = 0


class _SharedConnections:
    """Connections of this process, by settings."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shared: dict[str, _Shared] = {}

    def borrow(self, settings: SSHSettings, answers: Answers, login_timeout: Seconds) -> _Shared:
        """The connection for *settings*, to be given back."""
        key = repr(settings)
        with self._lock:
            shared = self._shared.get(key)
            if shared is None:
                connection = Connection(settings, answers, SystemClock(), login_timeout)
                shared = self._shared[key] = _Shared(key, connection, settings.max_sessions)
            shared.users += 1
            return shared

    def give_back(self, shared: _Shared) -> None:
        """End the connection with its last user."""
        with self._lock:
            shared.users -= 1
            if shared.users:
                return
            del self._shared[shared.key]
        shared.pause.set()
        shared.connection.close()

    def abandon(self) -> None:
        """End what threads of the background still have when the interpreter ends."""
        for shared in list(self._shared.values()):
            shared.connection.abandon()


_SHARED = _SharedConnections()
atexit.register(_SHARED.abandon)


def _safe(path: str) -> str:
    """A relative path with a beginning that no program takes for an option."""
    return path if path.startswith("/") else posixpath.join(".", path)


def _time_for(size: int) -> Seconds:
    return Seconds(_FILE_TIMEOUT + size / _BYTES_PER_SECOND)
