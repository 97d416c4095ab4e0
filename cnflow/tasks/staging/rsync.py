"""Moves a file between a node and a host with rsync over ssh; runs in a worker, or in a thread of the driver.

::

    fetch ──> rsync HOST:path ──> FOLDER.partial/name ──> complete ──> renamed to its path
    put   ──> path ──link──> FOLDER/name ──> rsync ──> HOST: temporary name ──> renamed by rsync
                │
                ├── broken connection, silence, no room for another login ──> a pause, and again: rsync goes on where
                │                                                             it was, and compares digests of the whole
                └── refused login, unknown host key, no such file, full disk ──> StagingError, in words
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
from typing import TYPE_CHECKING, NamedTuple, Optional

from cnflow.errors import StagingError
from cnflow.tasks.staging import rsync_command
from cnflow.tasks.staging.attempts import Failure, RefusedError, RetryPolicy, repeat
from cnflow.tasks.staging.content import check_content
from cnflow.tasks.staging.steps import IN, OUT, staging_step

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cnflow.model.file import File
    from cnflow.tasks.staging.rsync_command import Host

_MOMENT = 1.0
"""Seconds; a thread of the driver notices only then that its task was cancelled."""


class RSync(NamedTuple):
    """Moves files between this node and a host; implements `cnflow.tasks.staging.wrappers.Mover`."""

    host: Host
    rsync: str = "rsync"
    """Program on the node."""

    policy: RetryPolicy = RetryPolicy()

    def bring(self, file: File) -> None:
        """Bring *file* of the host to its ``local_path``; missing folders are made.

        Raises:
            StagingError: names the file, the host, and what rsync or ssh say. The path is unchanged.
        """
        subject, path = f"{self._name_of(file)} could not be fetched", file.filepath
        with _work_folder(path, subject) as folder, self._known_hosts() as known_hosts:
            argv = rsync_command.pull_command(self.rsync, self.host, known_hosts, folder, is_tree=file.directory)
            wanted = os.path.normpath(file.path)
            self._repeat(argv, wanted, wanted, subject, is_push=False)
            came = os.path.join(folder, os.path.basename(wanted))
            if os.path.isdir(came) != file.directory:
                found, way = ("no folder", "False") if file.directory else ("a folder", "True")
                raise StagingError(f"{subject}: it is {found}. Write File(..., directory={way}).", is_final=True)
            os.replace(came, path)
            check_content(path, file, subject)

    def send(self, file: File) -> None:
        """Take the copy of *file* to where it belongs on the host; missing folders are made there.

        Raises:
            StagingError: as `bring`. The host has the old file or the new one.
        """
        subject, path = f"{file.filepath} could not be sent to {self._name_of(file)}", os.path.abspath(file.filepath)
        target, host = rsync_command.split_target(os.path.normpath(file.path)), self.host
        with _work_folder(path, subject) as folder, self._known_hosts() as known_hosts:
            link = os.path.join(folder, target.entry)
            os.makedirs(os.path.dirname(link), exist_ok=True)
            (os.rename if file.directory else os.symlink)(path, link)  # the links in a folder are not followed
            argv = rsync_command.push_command(
                self.rsync, host, known_hosts, folder, target.root, is_tree=file.directory
            )
            self._repeat(argv, target.entry, file.path, subject, is_push=True)

    def bring_many(self, files: Sequence[File]) -> None:
        """Bring *files* over one connection; one that does not come so is tried alone, and its own error is raised.

        Raises:
            StagingError: as `bring`; others may have come.
        """
        plain = [file for file in files if not file.directory]
        if len(plain) > 1:
            self._bring_together(plain)
        for file in files:
            if not os.path.lexists(file.filepath):
                with staging_step(IN, file):
                    self.bring(file)

    def _bring_together(self, files: Sequence[File]) -> None:
        subject = f"{len(files)} files of {self.host.name} could not be fetched"
        paths = list(dict.fromkeys(os.path.normpath(file.path) for file in files))
        with _work_folder(files[0].filepath, subject) as folder, self._known_hosts() as known_hosts:
            argv = rsync_command.pull_many_command(self.rsync, self.host, known_hosts, folder)
            try:
                self._repeat(argv, "\0".join(paths), paths[0], subject, is_push=False)
            except StagingError as error:
                if not error.is_final:  # the connection: no file alone would do better
                    raise
            for file in files:
                came = folder + os.path.normpath(file.path)
                if os.path.isfile(came):
                    _hand_over(came, file.filepath)
                    check_content(file.filepath, file, f"{self._name_of(file)} could not be fetched")

    def send_many(self, files: Sequence[File]) -> None:
        """Send *files* over one connection for each folder; those of a connection that fails are tried alone.

        Raises:
            StagingError: as `send`; others may have been sent.
        """
        groups: dict[str, list[File]] = {}
        for file in files:
            root = file.path if file.directory else rsync_command.split_target(os.path.normpath(file.path)).root
            groups.setdefault(root, []).append(file)
        for root, group in groups.items():
            if len(group) > 1 and self._send_together(root, group):
                continue
            for file in group:
                with staging_step(OUT, file):
                    self.send(file)

    def _send_together(self, root: str, files: Sequence[File]) -> bool:
        subject, entries = f"{len(files)} files could not be sent to {self.host.name}", []
        with _work_folder(files[0].filepath, subject) as folder, self._known_hosts() as known_hosts:
            for file in files:
                entry = rsync_command.split_target(os.path.normpath(file.path)).entry
                link = os.path.join(folder, entry)
                if os.path.lexists(link):
                    return False  # two outputs of one path: the last one counts
                os.makedirs(os.path.dirname(link), exist_ok=True)
                os.symlink(os.path.abspath(file.filepath), link)
                entries.append(entry)
            argv = rsync_command.push_command(self.rsync, self.host, known_hosts, folder, root, is_tree=False)
            try:
                self._repeat(argv, "\0".join(entries), root, subject, is_push=True)
            except StagingError as error:
                if not error.is_final:
                    raise
                return False  # the caller tries each alone, and reports the error of the one that fails
        return True

    def _name_of(self, file: File) -> str:
        return f"{file.path!r} on {self.host.name}"

    def _repeat(self, argv: list[str], entry: str, path: str, subject: str, *, is_push: bool) -> None:
        def try_once() -> Optional[Failure]:
            code, stderr = _run(argv, os.fsencode(entry) + b"\0")
            if code == 0:
                return None
            if rsync_command.MAKE_PARENTS in argv and "mkpath" in stderr and "unknown option" in stderr:
                argv.remove(
                    rsync_command.MAKE_PARENTS
                )  # an rsync before 3.2.3, here or there, makes the last folder only
                return try_once()
            meaning = rsync_command.meaning_of(code, stderr, self.host, path, is_push=is_push)
            if meaning.is_final:
                raise RefusedError(meaning.words)
            return Failure(meaning.words)

        spread = self.policy.pause * (0.5 + random.random())  # noqa: S311 - nodes shall not log in all at once
        repeat(try_once, self.policy._replace(pause=spread), subject)

    @contextlib.contextmanager
    def _known_hosts(self) -> Iterator[str]:
        """The file of known hosts for ssh, made from the host's key; empty for ssh's own."""
        if self.host.host_key is None:
            yield self.host.known_hosts or ""
            return
        import tempfile

        # Not beside the file, whose path may hold what ssh does not take in the value of an option.
        with tempfile.NamedTemporaryFile("w", prefix="cnflow-host-", encoding="utf-8") as file:
            file.write(rsync_command.known_hosts_line(self.host))
            file.flush()
            yield file.name


def _hand_over(came: str, path: str) -> None:
    """Copy *came*, which a task may have under several paths, to *path*; as a link for the first."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.stat(came).st_nlink == 1:
        os.link(came, path)
    else:
        import shutil

        shutil.copy2(came, path)


def _run(argv: list[str], stdin: bytes) -> tuple[int, str]:
    """Run rsync; return its exit code and messages.

    Raises:
        RefusedError: there is none on this node, or no ssh.
    """
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"},
        )
    except FileNotFoundError:
        raise RefusedError(
            f"there is no {argv[0]!r} on this node. Install rsync and ssh there (apt-get install rsync "
            "openssh-client), name the program by rsync=, or write RSyncStaging(..., way='driver'): then the driver "
            "moves the file, and the task's own connection takes it to the node"
        ) from None
    try:
        given: Optional[bytes] = stdin
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                stderr = process.communicate(given, timeout=_MOMENT)[1]
                return process.returncode, stderr.decode(errors="replace")
            given = None
    finally:  # of a task that is stopped: rsync ends its ssh, and keeps what came
        if process.poll() is None:
            process.terminate()
            process.wait()


@contextlib.contextmanager
def _work_folder(path: str, subject: str) -> Iterator[str]:
    """An empty folder beside *path*, which is removed in the end; a full disk is a StagingError with *subject*."""
    import shutil

    folder = f"{os.path.abspath(path)}.rsync"
    try:
        shutil.rmtree(folder, ignore_errors=True)  # of a task that was killed
        os.makedirs(folder, mode=0o700)
        yield folder
    except OSError as error:
        raise StagingError(f"{subject}: {error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
