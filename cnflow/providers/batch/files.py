"""Files of jobs in the folder of cnflow at a site.

::

    SITE_DIR/runs/RUN/EXECUTOR/   NAME.sh, NAME.settings.0 (keys; removed with the job), NAME.out or NAME.out.0,
                                  NAME.out.code: its exit code, from schedulers that keep no accounts
"""

from __future__ import annotations

import base64
import contextlib
import io
import logging
import math
import re
import tarfile
import threading
from typing import TYPE_CHECKING, NamedTuple

from cnflow.errors import BlockError, ChannelError
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from cnflow.ids import NativeId, RunId
    from cnflow.providers.batch.jobs import Job
    from cnflow.sites.folder import SiteFolder

CODE = ".code"
"""Appended to the path of a job's output: the file with its exit code, see `cnflow.providers.batch.supervised`."""

_CODES = 'for file; do if [ -r "$file" ]; then cat -- "$file"; else echo; fi; done'
logger = logging.getLogger(__name__)

# The last part of each file, a line for each.
_LOGS = 'for f; do tail -c 1000000 -- "$f" 2>/dev/null | base64 | tr -d "\\n"; echo; done'
_UNPACK = 'umask 077; mkdir -p -- "$1" && cd -- "$1" && tar -xmf -'
"""With times of now: file systems for scratch data remove files by their age."""


class JobPaths(NamedTuple):
    """Paths of one element of a job, relative to the site's folder."""

    run: RunId
    executor: str
    name: str
    element: int
    is_array: bool

    @classmethod
    def of(cls, run: RunId, executor: str, name: str, element: int) -> JobPaths:
        """Paths of a job that is known by its name."""
        return cls(run, executor, name, element, is_array=re.search(r"\d\.\d+$", name) is not None)

    @property
    def settings(self) -> str:
        """The manager's settings, which hold keys."""
        return f"{folder_of(self.run, self.executor)}/{self.name}.settings.{self.element}"

    def output(self, first_index: int) -> str:
        """Standard output and error."""
        mark = f".{self.element + first_index}" if self.is_array else ""
        return f"{folder_of(self.run, self.executor)}/{self.name}.out{mark}"


def folder_of(run: RunId, executor: str) -> str:
    """Return the folder of an executor's jobs, relative to the site's folder."""
    label = re.sub(r"[^a-zA-Z0-9_.-]+", "-", executor)
    return f"runs/{run}/{label}"


class JobFiles:
    """Sends files of jobs, and removes them; safe from any thread.

    Args:
        site: at which they are.
    """

    def __init__(self, site: SiteFolder) -> None:
        self._site = site
        self._paths: dict[NativeId, JobPaths] = {}
        self._log_files: dict[NativeId, Path] = {}
        self._with_settings: set[NativeId] = set()
        self._submitted: dict[NativeId, Seconds] = {}
        self._lock = threading.Lock()

    def on_submitted(self, native: NativeId, now: Seconds) -> None:
        """Note that a job was accepted, which its scheduler may not list yet."""
        self._submitted[native] = now

    def may_be_unlisted(self, native: NativeId, now: Seconds, lag: Seconds) -> bool:
        """Return whether a job that is not listed may have been accepted so lately, within *lag*, that it will be."""
        return now - self._submitted.get(native, Seconds(-math.inf)) < lag

    def add(self, native: NativeId, paths: JobPaths, log_file: Path | None = None) -> None:
        """Remember the paths of a job; *log_file* gets its output on this machine once it is over."""
        with self._lock:
            if log_file is not None:
                self._log_files[native] = log_file
            if native not in self._paths:
                self._paths[native] = paths
                self._with_settings.add(native)

    def paths_of(self, native: NativeId) -> JobPaths | None:
        """Return the paths of a job; None if it was neither submitted nor found here."""
        return self._paths.get(native)

    def send(self, job: Job, script: str, files: Mapping[str, bytes]) -> str:
        """Write the files of a submission in one call; return the path of its script.

        Raises:
            ChannelError: the site cannot be reached.
            BlockError: they were not written.
        """
        folder = self._site.path_of(folder_of(job.first.run, job.first.executor))
        name = f"{job.name}.sh"
        archive = _tar({**files, name: script.encode()})
        done = self._site.channel.run(["sh", "-c", _UNPACK, "sh", folder], stdin=archive)
        if done.exit_code:
            words = done.stderr.strip() or f"exit code {done.exit_code}"
            raise BlockError(
                f"Files of jobs cannot be written to {folder} on {self._site.channel.name}: {words}\nFree space there, "
                "or set site_dir of the provider to a folder with room that all nodes share."
            )
        return f"{folder}/{name}"

    def exit_codes(self, natives: Collection[NativeId], first_index: int) -> dict[NativeId, int]:
        """Return the exit codes that jobs recorded themselves.

        Raises:
            ChannelError: the site cannot be reached.
        """
        known = {native: paths for native in natives if (paths := self._paths.get(native))}
        if not known:
            return {}
        files = [self._site.path_of(paths.output(first_index)) + CODE for paths in known.values()]
        lines = self._site.channel.run(["sh", "-c", _CODES, "sh", *files]).stdout.splitlines()
        return {native: int(line) for native, line in zip(known, lines, strict=False) if line.isdigit()}

    def on_over(self, natives: Collection[NativeId], first_index: int) -> None:
        """Remove the keys of jobs that are over, and copy their output to this machine unless it sees the site's files.

        A site that cannot be reached is asked again with the next jobs that are over.
        """
        with self._lock:
            over = [native for native in natives if native in self._with_settings]
            self._with_settings.difference_update(over)
        if not over:
            return
        try:
            try:
                self._bring_in(over, first_index)
            except ChannelError as error:  # a connection that broke is made again; after the last jobs there is no next
                logger.debug("files of jobs that are over are asked for again: %s", error)
                self._bring_in(over, first_index)
        except ChannelError as error:
            logger.warning("files of jobs that are over stay at the site for now: %s", error)
            with self._lock:
                self._with_settings.update(over)

    def remove(self, job: Job) -> None:
        """Remove all files of a job that was refused.

        Raises:
            ChannelError: the site cannot be reached.
        """
        folder = self._site.path_of(folder_of(job.first.run, job.first.executor))
        settings = [f"{folder}/{job.name}.settings.{element}" for element in range(len(job.requests))]
        self._site.channel.run(["rm", "-f", "--", f"{folder}/{job.name}.sh", *settings])

    def _bring_in(self, over: Sequence[NativeId], first_index: int) -> None:
        settings = [self._site.path_of(self._paths[native].settings) for native in over]
        self._copy_logs(over, first_index)
        self._site.channel.run(["rm", "-f", "--", *settings])

    def _copy_logs(self, natives: Sequence[NativeId], first_index: int) -> None:
        wanted = [native for native in natives if native in self._log_files]
        if not wanted:
            return
        outputs = [self._site.path_of(self._paths[native].output(first_index)) for native in wanted]
        lines = self._site.channel.run(["sh", "-c", _LOGS, "sh", *outputs]).stdout.splitlines()
        for native, line in zip(wanted, lines, strict=False):
            with contextlib.suppress(ValueError, OSError):  # no base64 at the site; a full disk here
                self._log_files[native].write_bytes(base64.b64decode(line, validate=True))


def _tar(files: Mapping[str, bytes]) -> bytes:
    """Return an archive of *files*, readable by their owner alone."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o600
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
