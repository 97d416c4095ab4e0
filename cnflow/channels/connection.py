"""One login and its multiplexed connection, which all channels of the same settings share.

::

    ensure() ── lives? ──────────────────────────────────────────────> yes
        │ no
        ├── a connection of the user's at the socket (ssh -M) ───────> used, never ended
        ├── failed a moment ago ── its error again       for 1 ... 60 s; for 30 s ... 10 min where the user must act
        └── ssh -M ... "printf MARK; cat" ── questions? ── askpass
                  ├── MARK ──────────────────────────────────────────> lives, until ssh ends or its stdin is closed
                  └── ended, or too late ──> ChannelError: cause, next step, ssh's words

The driver holds stdin of the remote ``cat``: however the driver ends, the connection ends, too.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from cnflow.channels import ssh_command, ssh_failures
from cnflow.channels.askpass import Askpass, can_hold_programs
from cnflow.channels.quoting import plain_script, remote_command
from cnflow.errors import ChannelError
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.channels.answers import Answers
    from cnflow.channels.ssh_failures import Failure
    from cnflow.clock import Clock
    from cnflow.config.channels import SSHSettings

_MARK = b"cnflow-connected"
_CHECK = Seconds(10.0)
_LONGEST_FOLDER = 70
"""Characters; a socket's path has 108 at most, of which ssh appends 17 while it makes one (unix(7))."""

_LOG_END = 8000
_FOLDER = ".cnflow-ssh-"


class Connection:
    """See the module.

    Args:
        settings: of the channel.
        answers: to ssh's questions.
        clock: measures the time between tries.
        login_timeout: seconds within which a login must be complete, from its begin or its last answer.
    """

    def __init__(self, settings: SSHSettings, answers: Answers, clock: Clock, login_timeout: Seconds) -> None:
        self._settings = settings
        self._answers = answers
        self._clock = clock
        self._login_timeout = login_timeout
        self._lock = threading.Lock()
        self._folder: Path | None = None
        self._login: subprocess.Popen[bytes] | None = None
        self._is_users = False
        self._is_closed = False
        self._was_connected = False
        self._failure: Failure | None = None
        self._failures = 0
        self._not_before = Seconds(0.0)

    @property
    def socket(self) -> str:
        """Path of the socket; its folder is made."""
        return self._settings.control_path or str(self._private_folder() / "ssh")

    def ensure(self) -> str:
        """Connect unless there is a connection; return the path of its socket.

        Raises:
            ChannelError: the login failed, or failed a moment ago.
        """
        with self._lock:
            self._refuse_closed()
            if self._lives():
                return self.socket
            self._end()
            if self._failure is not None and self._clock.now() < self._not_before:
                if self._was_connected and self._adopts():
                    return self.socket
                raise ChannelError(self._failure.message)
            if not self._adopts():
                self._connect()
            self._was_connected, self._failure, self._failures = True, None, 0
            return self.socket

    def drop(self, socket: str) -> None:
        """Give up the connection at *socket*, over which a session found nothing to talk to."""
        with self._lock:
            if not self._is_closed and socket == self.socket:
                self._end()

    def doubt(self, socket: str) -> None:
        """Give up the connection at *socket* if its ssh does not answer; a session over it has taken too long."""
        argv = ssh_command.check_command(self._settings, socket)
        try:
            subprocess.run(argv, capture_output=True, timeout=_CHECK, check=False, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            self.drop(socket)

    def close(self) -> None:
        """End the connection, unless it is the user's own; a login that is being made ends at once."""
        self.abandon()
        with self._lock:
            self._end()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None

    def abandon(self) -> None:
        """Begin to end the connection, and remove its files; waits for nobody that uses it."""
        self._is_closed = True
        login, folder = self._login, self._folder
        if login is not None and login.poll() is None:
            login.terminate()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def _refuse_closed(self) -> None:
        if self._is_closed:
            raise ChannelError(f"The channel to {ssh_command.destination(self._settings)} was closed meanwhile.")

    def _lives(self) -> bool:
        return self._is_users or (self._login is not None and self._login.poll() is None)

    def _adopts(self) -> bool:
        """Use a connection that the user has made at the socket."""
        if not Path(self.socket).exists():
            return False
        argv = ssh_command.check_command(self._settings, self.socket)
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):  # another client, or a hung one: no connection
            done = subprocess.run(argv, capture_output=True, timeout=_CHECK, check=False, stdin=subprocess.DEVNULL)
            self._is_users = done.returncode == 0
        return self._is_users

    def _connect(self) -> None:
        Path(self.socket).unlink(missing_ok=True)  # ssh makes no connection where a dead one has left its socket
        may_ask = self._answers.asks_again if self._was_connected else self._answers.asks_first
        try:
            if may_ask:
                self._answers.begin()
            failure = self._log_in(may_ask=may_ask)
        except ChannelError as error:
            failure = ssh_failures.Failure(str(error), needs_user=True)
        if failure is None:
            return
        if self._was_connected and self._answers.asks_first and not may_ask:
            failure = ssh_failures.lost_login(self._settings, self.socket, failure)
        first, most = (30.0, 600.0) if failure.needs_user else (1.0, 60.0)
        self._not_before = Seconds(self._clock.now() + min(first * 2**self._failures, most))
        self._failure, self._failures = failure, min(self._failures + 1, 10)
        raise ChannelError(failure.message)

    def _log_in(self, *, may_ask: bool) -> Failure | None:
        """Start ssh, and wait until its connection serves; the failure if it does not."""
        folder = self._private_folder()
        remote = remote_command(plain_script(["sh", "-c", f"printf '\\n%s\\n' {_MARK.decode()}; exec cat >/dev/null"]))
        extra = {**self._answers.options, "NumberOfPasswordPrompts": str(self._answers.tries)} if may_ask else {}
        argv = ssh_command.connect_command(self._settings, self.socket, remote, extra, may_ask=may_ask)
        log = folder / "log"
        log.write_bytes(b"")
        askpass = Askpass(folder) if may_ask else None
        variables = askpass.environment() if askpass else {}
        try:
            self._login = _start(argv, log, variables)
        except OSError as error:
            return ssh_failures.missing_program(self._settings, error)
        else:
            try:
                self._refuse_closed()
                output = self._wait_for_mark(self._login, log, askpass)
                self._refuse_closed()
            except BaseException:
                self._end()
                raise
        finally:
            if askpass is not None:
                askpass.close()
        if output is None:
            return None
        code = self._login.poll()
        self._end()
        words = log.read_bytes()[-_LOG_END:].decode(errors="replace")
        return ssh_failures.login_failure(self._settings, words, output.decode(errors="replace"), exit_code=code)

    def _wait_for_mark(self, login: subprocess.Popen[bytes], log: Path, askpass: Askpass | None) -> bytes | None:
        """None once the mark was printed; else what was printed when ssh ended, or the time."""
        assert login.stdout is not None
        printed, shown = b"", 0
        deadline = self._clock.now() + self._settings.connect_timeout + self._login_timeout
        with selectors.DefaultSelector() as waiting:
            waiting.register(login.stdout, selectors.EVENT_READ)
            if askpass is not None:
                waiting.register(askpass.listener, selectors.EVENT_READ, askpass)
            while (left := deadline - self._clock.now()) > 0:
                for key, _ in waiting.select(left):
                    if askpass is not None and key.data is askpass:
                        shown = self._answer(askpass, log, shown)
                        deadline = self._clock.now() + self._login_timeout
                        continue
                    part = os.read(login.stdout.fileno(), 65536)
                    printed += part
                    if b"\n" + _MARK + b"\n" in printed:
                        return None
                    if not part:
                        login.wait()
                        return printed
        return printed

    def _answer(self, askpass: Askpass, log: Path, shown: int) -> int:
        """Answer a question, with what ssh has printed before it; return the length of what was printed so far."""
        question = askpass.question()
        printed = log.read_bytes()
        before = printed[shown:].decode(errors="replace").strip()
        answer = None
        try:
            answer = self._answers.answer(f"{before}\n{question.text}" if before else question.text)
        finally:
            question.answer(answer)
        return len(printed)

    def _end(self) -> None:
        self._is_users = False
        login, self._login = self._login, None
        if login is None:
            return
        assert login.stdin is not None
        assert login.stdout is not None
        with contextlib.suppress(OSError):  # it has ended
            login.stdin.close()
        login.terminate()
        try:
            login.wait(_CHECK)
        except subprocess.TimeoutExpired:
            login.kill()
            login.wait()
        login.stdout.close()

    def _private_folder(self) -> Path:
        if self._folder is None:
            self._folder = _new_folder(needs_programs=self._answers.asks_first)
        return self._folder


def _start(argv: list[str], log: Path, variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start ssh in a session of its own: Ctrl-C is for the script, and ssh asks on no terminal by itself."""
    with log.open("ab") as words:
        return subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=words,
            bufsize=0,
            env={**os.environ, **variables},
            start_new_session=True,
        )


def _new_folder(*, needs_programs: bool) -> Path:
    """New private folder with a short path; in one that files can be executed in, if that is needed."""
    tried = []
    for parent in (os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir(), "/tmp", str(Path.home())):  # noqa: S108 - mkdtemp makes it private
        if not parent or len(parent) > _LONGEST_FOLDER - 20 or not os.access(parent, os.W_OK):
            continue
        _remove_left(Path(parent))
        folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-", dir=parent))
        if not needs_programs or can_hold_programs(folder):
            return folder
        tried.append(parent)
        shutil.rmtree(folder, ignore_errors=True)
    raise ChannelError(
        "There is no folder for the socket of ssh: each is missing, has a long path, or can hold no programs "
        f"({', '.join(tried) or 'none can be written'}). Set TMPDIR to another one."
    )


def _remove_left(parent: Path) -> None:
    """Remove folders that drivers have left which were killed."""
    for folder in parent.glob(f"{_FOLDER}*-*"):
        pid = folder.name.removeprefix(_FOLDER).partition("-")[0]
        with contextlib.suppress(OSError):  # another user's, or another driver is removing it
            if pid.isdigit() and folder.stat().st_uid == os.getuid() and not _is_running(int(pid)):
                shutil.rmtree(folder, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's
    return True
