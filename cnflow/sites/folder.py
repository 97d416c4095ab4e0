"""The live half of a site: its folder, looked at and filled through a channel.

::

    facts()        ──sh──> makes site_dir; one call, kept
    capsule(kind)  ──sh──> is TAG there, whole? ── no ──> tar (gzip over a network) ──> unpacked beside, renamed
    bare_node()    what runs workers on the bare node: the driver's own Python, the site's, or one that is carried
"""

from __future__ import annotations

import gzip
import logging
import posixpath
import sys
import threading
from typing import TYPE_CHECKING, NamedTuple

from cnflow.capsule import (
    CARRIED_PYTHON,
    PROBE_OPTIONS,
    available_kind,
    capsule_tar,
    carried_kind,
    carrying_kind,
    driver_root,
    kind_of,
    parse_probe,
    runs_workers,
    tag_of,
    too_old,
)
from cnflow.errors import BlockRejectedError, ChannelError
from cnflow.sites import scripts
from cnflow.sites.failures import advice_on
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cnflow.capsule import Kind, Probe
    from cnflow.interfaces.channel import Channel, Completed
    from cnflow.sites.site import SiteFacts

logger = logging.getLogger(__name__)

_TIMEOUT = Seconds(60.0)
_CAPSULES = "capsules"
_ASK_AGAIN = 3
"""Exit code of `scripts.UNPACK`: the folder is not there."""

_SENDS: dict[tuple[str, str, str], threading.Lock] = {}
"""Held while a capsule is sent, by machine, folder and tag: interchange and provider need the same one at once."""


class BareNode(NamedTuple):
    """What runs a manager and its workers on a bare node of a site."""

    python: str
    """Interpreter of the manager."""

    root: str
    """Folder that holds the package ``cnflow``."""

    worker: Probe | None = None
    """Interpreter of the workers, if it is another one than the manager's."""

    is_own: bool = False
    """It is the driver's own Python, with the driver's packages: cnflow's are not isolated from them."""


class SiteFolder:
    """See `cnflow.sites.site.Site`.

    Args:
        channel: to the site's login node.
        folder: ``site_dir`` of the settings; ``~`` and variables are the site's.
        cache_dir: where this machine keeps capsules; None decides by `cnflow.capsule.default_cache_dir`.
        timeout: seconds within which a command at the site must answer, apart from those that send a capsule.
    """

    def __init__(
        self, channel: Channel, folder: str, *, cache_dir: Path | None = None, timeout: Seconds = _TIMEOUT
    ) -> None:
        self.channel = channel
        self._folder = folder
        self._cache_dir = cache_dir
        self._timeout = timeout
        self._facts: SiteFacts | None = None
        self._asked: dict[str, None] = {}
        self._capsules: dict[str, str] = {}
        self._facts_lock, self._capsule_lock = threading.Lock(), threading.Lock()

    def facts(self, programs: Sequence[str] = ()) -> SiteFacts:
        """See `Site`; asks again only for programs that no call has asked for."""
        with self._facts_lock:
            if self._facts is None or not self._asked.keys() >= set(programs):
                self._asked.update(dict.fromkeys(programs))
                script = scripts.facts_script(self._folder, tuple(self._asked))
                done = self._sh(script, f"The folder {self._folder} cannot be made")
                self._facts = scripts.facts_of(done.stdout)
            if self._facts is None:
                raise ChannelError(
                    f"{self.channel.name} does not show what it is: its sh printed {done.stdout[-400:]!r}. Commands "
                    "such as id, uname and hostname must work there."
                )
            return self._facts

    def capsule(self, kind: Kind) -> str:
        """See `Site`; one driver sends it once, and looks at its files once."""
        tag = tag_of(kind)
        folder = f"{self.facts().folder}/{_CAPSULES}"
        with self._capsule_lock:
            if tag not in self._capsules:
                with _SENDS.setdefault((self.channel.name, folder, tag), threading.Lock()):
                    if not self._has(folder, tag):
                        self._send(folder, tag, kind)
                self._capsules[tag] = f"{folder}/{tag}"
            return self._capsules[tag]

    def put(self, content: bytes, path: str, mode: int = 0o600) -> str:
        """See `Site`."""
        target = self.path_of(path)
        self.channel.put(content, target, mode)
        return target

    def remove(self, path: str) -> None:
        """See `Site`."""
        self._sh(scripts.REMOVE, f"{path} cannot be removed", self.path_of(path))

    def path_of(self, path: str) -> str:
        """Absolute path of *path*, which is relative to the site's folder, or absolute and in it.

        Raises:
            ValueError: it is the site's folder itself, or outside of it.
        """
        folder = self.facts().folder
        target = posixpath.normpath(posixpath.join(folder, path))
        if not target.startswith(f"{folder}/"):
            raise ValueError(f"{path!r} is not in the site's folder {folder}")
        return target

    def probe(self, python: str) -> Probe:
        """Probe an interpreter of the site, by path or name.

        Raises:
            BlockRejectedError: it does not start.
            ChannelError: the site cannot be reached.
        """
        done = self.channel.run([python, *PROBE_OPTIONS], timeout=self._timeout)
        found = parse_probe(done.stdout)
        if found is None:
            words = (done.stderr or done.stdout).strip()[-400:] or f"exit code {done.exit_code}"
            raise BlockRejectedError(
                f"The Python {python} of {self.channel.name} does not start: {words}\nCorrect the option python=, or "
                "leave it out, which takes the site's python3, or one that cnflow carries along."
            )
        return found

    def bare_node(self, python: str | None = None, *, carries: bool = False) -> BareNode:
        """What runs workers on the bare node; what it needs of cnflow is sent.

        Args:
            python: of the settings; None is the driver's own where the channel is local, else the site's ``python3``
                if workers can run on it, else one that cnflow carries along.
            carries: nodes share neither files nor programs with the site's login node: without *python*, the driver's
                own is carried along, if it can be.

        Raises:
            BlockRejectedError: *python* does not start.
            ImageUnusableError: *python* is too old, or nothing can be carried to this site.
            ChannelError: the site cannot be reached, or its folder not be written.
        """
        if python is None and carries:
            own = carrying_kind()
            if own is not None and own.machine == self.facts().machine:
                return self._carried(f"the site {self.channel.name}")
        elif python is None and self.channel.is_local:
            return BareNode(sys.executable, str(driver_root()), is_own=True)
        where = f"the interpreter {python} of {self.channel.name}" if python else f"the site {self.channel.name}"
        found = self.probe(python) if python else self.facts().python
        if python and found is not None and not runs_workers(found):
            raise too_old(where, found)
        if found is None or not runs_workers(found):
            return self._carried(where)
        kind = available_kind(kind_of(found, where, carrying_kind()), self._cache_dir)
        root = self.capsule(kind)
        if kind.carries_python:
            return BareNode(f"{root}/{CARRIED_PYTHON}", root, found)
        return BareNode(found.executable, root)

    def _carried(self, where: str) -> BareNode:
        root = self.capsule(carried_kind(self.facts().machine, where, carrying_kind()))
        return BareNode(f"{root}/{CARRIED_PYTHON}", root)

    def _has(self, folder: str, tag: str) -> bool:
        done = self._run(scripts.UNPACK, folder, tag, "")
        if done.exit_code not in {0, _ASK_AGAIN}:
            raise self._failure(f"{folder} cannot be used", done)
        return done.exit_code == 0

    def _send(self, folder: str, tag: str, kind: Kind) -> None:
        content, how = capsule_tar(kind, self._cache_dir).read_bytes(), scripts.UNPACK_TAR
        if not self.channel.is_local:
            content, how = gzip.compress(content, compresslevel=1, mtime=0), scripts.UNPACK_GZIP
            megabytes = len(content) / 2**20
            logger.info("Sending cnflow (%s, %.0f MB) to %s, once.", kind.slug, megabytes, self.channel.name)
        done = self.channel.run(_sh_argv(scripts.UNPACK, folder, tag, how), stdin=content)
        if done.exit_code:
            raise self._failure(f"cnflow cannot be unpacked to {folder}/{tag}", done)

    def _sh(self, script: str, what: str, *arguments: str) -> Completed:
        done = self._run(script, *arguments)
        if done.exit_code:
            raise self._failure(what, done)
        return done

    def _run(self, script: str, *arguments: str) -> Completed:
        return self.channel.run(_sh_argv(script, *arguments), timeout=self._timeout)

    def _failure(self, what: str, done: Completed) -> ChannelError:
        words = done.stderr.strip()[-800:] or f"exit code {done.exit_code}"
        return ChannelError(f"{what} on {self.channel.name}: {words}\n{advice_on(words)}")


def _sh_argv(script: str, *arguments: str) -> list[str]:
    return ["sh", "-c", script, "cnflow", *arguments]
