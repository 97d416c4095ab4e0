"""The boot site of a provider of machines: a boot server beside the interchange, started on first use.

::

    admit ── first ──> certificate and key put, server started through the site's channel ──> its port
          └─ each ───> token drawn; order put as an entry, by the hash of the token ──> user data with the token
    report_of ───────> what the machine has sent
    forget ──────────> entries, claims and reports removed: the tokens work no more
    close ───────────> the server's standard input ends, and with it, after the grace, the server

A server that has died is started again on its port, with its certificate, before the next machine is admitted. What a
machine asks for goes through no call of the driver: the server reads files.
"""

from __future__ import annotations

import json
import logging
import secrets
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, NamedTuple

from cnflow.capsule import CARRIED_PYTHON, driver_root
from cnflow.capsule.archive import capsule_archive
from cnflow.errors import BlockError, BlockRejectedError, CapsuleError
from cnflow.model.block import in_names
from cnflow.providers._shared.machines.boot_orders import Way, order_archive, order_for
from cnflow.providers._shared.machines.carried import carried_code
from cnflow.providers._shared.machines.certificate import new_identity
from cnflow.providers._shared.machines.user_data import BootAddress, BootPlan, user_data
from cnflow.vm_agent.boot_claims import entry_name
from cnflow.vm_agent.boot_server import READY

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from cnflow.capsule import Kind
    from cnflow.config.machines import MachineSettings
    from cnflow.model.block import BlockRequest
    from cnflow.providers._shared.machines.boot import BootPlace
    from cnflow.providers._shared.machines.certificate import Identity

logger = logging.getLogger(__name__)

_START = 30.0
"""Seconds within which the server prints its port."""

_LAST_WORDS = 5.0
_REMOVED_AT_ONCE = 300
"""Files that one command removes: through ssh it is one argument, which Linux limits to 128 KB."""

_SCRIPT = "cnflow/vm_agent/boot_server.py"


class Admission(NamedTuple):
    """What one machine of a block was given."""

    entry: str
    """Name of its entry."""

    text: str
    """User data."""


class BootServerSite:
    """See `cnflow.providers._shared.machines.boot.BootSite`.

    Args:
        settings: of the provider.
        place: machine of the interchange.
        cache_dir: where this machine keeps capsules; None decides by `cnflow.capsule.default_cache_dir`.
    """

    def __init__(self, settings: MachineSettings, place: BootPlace, *, cache_dir: Path | None = None) -> None:
        self._settings = settings
        self._place = place
        self._cache_dir = cache_dir
        self._lock = threading.Lock()
        self._admitted: dict[tuple[str, int], Admission] = {}
        self._folder = ""
        self._identity: Identity | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._port = 0

    def admit(self, request: BlockRequest, rank: int) -> str:
        """See `BootSite`."""
        kind = carried_code()
        with self._lock:
            if admission := self._admitted.get((request.name, rank)):
                return admission.text
            identity = self._opened(request, kind)
            port = self._port
        hosts = self._place.hosts or request.manager.hosts
        token = secrets.token_hex(32)
        order = order_for(request, rank, self._settings, kind, Way(hosts, port, identity.pin.digest, token))
        settings = self._settings
        ends_after = None if request.walltime is None else request.walltime + settings.startup_timeout
        text = user_data(
            BootPlan(
                request.name,
                rank,
                machine=kind.machine,
                startup_timeout=settings.startup_timeout,
                longest_life=ends_after,
                server=BootAddress(hosts, port, identity.pin, token),
                commands=settings.user_data,
                ending=settings.end_commands(),
            )
        )
        about = json.dumps({"block": request.name, "rank": rank}).encode()
        entry = entry_name(token)
        self._place.site.put(about + b"\n" + order_archive(order), f"{self._folder}/entries/{entry}")
        with self._lock:
            return self._admitted.setdefault((request.name, rank), Admission(entry, text)).text

    def report_of(self, name: str, rank: int) -> str:
        """See `BootSite`; raises `ChannelError` where the machine of the interchange is not reached."""
        if not self._folder:
            return ""
        path = self._path(f"reports/{name}.{rank}")
        done = self._place.site.channel.run(["sh", "-c", '[ ! -e "$1" ] || cat "$1"', "cnflow", path])
        return done.stdout

    def forget(self, names: Collection[str]) -> None:
        """See `BootSite`."""
        with self._lock:
            gone = [key for key in self._admitted if key[0] in names]
            entries = {key: self._admitted.pop(key).entry for key in gone}
        paths = [self._path(f"{part}/{entry}") for entry in entries.values() for part in ("entries", "claims")]
        paths += [self._path(f"reports/{name}.{rank}") for name, rank in entries]
        for start in range(0, len(paths), _REMOVED_AT_ONCE):
            self._place.site.channel.run(["rm", "-f", *paths[start : start + _REMOVED_AT_ONCE]])

    def close(self) -> None:
        """See `BootSite`."""
        with self._lock:
            server, self._server = self._server, None
            reader, self._reader = self._reader, None
        if server is None or reader is None:
            return
        _close(server, kills=not self._place.grace, is_local=self._place.site.channel.is_local)
        if server.poll() is not None:
            reader.join(_LAST_WORDS)
        if not self._place.grace:
            self._place.site.remove(self._folder)

    def _path(self, path: str) -> str:
        return self._place.site.path_of(f"{self._folder}/{path}")

    def _opened(self, request: BlockRequest, kind: Kind) -> Identity:
        """Return the identity of the server, which is started unless it runs; the lock is held."""
        site = self._place.site
        if self._server is not None and self._server.poll() is None and self._identity is not None:
            return self._identity
        if self._identity is None:
            hosts = self._place.hosts or request.manager.hosts
            if not hosts:
                raise BlockError("No address of the interchange is known that machines of a cloud could reach.")
            self._folder = f"runs/{in_names(request.run)}/{in_names(request.executor)}/boot-{secrets.token_hex(4)}"
            identity = new_identity(tuple(hosts))
            site.put(identity.pin.certificate.encode(), f"{self._folder}/certificate")
            site.put(identity.key.encode(), f"{self._folder}/key")
            self._identity = identity
        elif self._server is not None:
            _close(self._server, kills=True, is_local=site.channel.is_local)
            logger.warning("The boot server on %s has ended, and is started again.", site.channel.name)
        self._server, self._port = self._start(kind)
        return self._identity

    def _start(self, kind: Kind) -> tuple[subprocess.Popen[bytes], int]:
        site = self._place.site
        try:
            if site.channel.is_local:
                python, root, code = sys.executable, str(driver_root()), str(capsule_archive(kind, self._cache_dir))
            else:
                root = code = site.capsule(kind)
                python = f"{root}/{CARRIED_PYTHON}"
        except CapsuleError as error:
            raise BlockRejectedError(str(error)) from error
        arguments = (
            site.path_of(self._folder),
            code,
            f"{self._place.grace:g}",
            *([str(self._port)] * bool(self._port)),
        )
        server = site.channel.start([python, "-I", f"{root}/{_SCRIPT}", *arguments])
        lines: list[bytes] = []
        is_ready = threading.Event()
        reader = threading.Thread(target=_read, args=(server, lines, is_ready), name="cnflow-boot-server", daemon=True)
        reader.start()
        self._reader = reader
        is_ready.wait(_START)
        ready = next((each for each in lines if each.startswith(READY.encode())), None)
        if ready is None:
            _close(server, kills=True, is_local=site.channel.is_local)
            words = b"".join(lines).decode(errors="replace").strip()[-800:] or f"it printed nothing in {_START:g} s"
            raise BlockError(f"The boot server does not start on {site.channel.name}: {words}")
        return server, int(json.loads(ready[len(READY) :])["port"])


def _read(server: subprocess.Popen[bytes], lines: list[bytes], is_ready: threading.Event) -> None:
    """Collect what *server* prints until it is ready or ends; then read on, so that it never waits for a reader."""
    assert server.stdout is not None
    assert server.stderr is not None
    with server.stdout, server.stderr:
        for line in server.stdout:
            lines.append(line)
            if line.startswith(READY.encode()):
                is_ready.set()
                break
        for line in server.stderr:
            if is_ready.is_set():
                logger.debug("%s", line.decode(errors="replace").rstrip())
            else:
                lines.append(line)
    is_ready.set()


def _close(server: subprocess.Popen[bytes], *, kills: bool, is_local: bool) -> None:
    """End *server*, or let it go on for its grace, where *kills* is False.

    Elsewhere than on this machine, *server* is the ssh command, which need not stay for that.
    """
    assert server.stdin is not None
    server.stdin.close()
    if is_local and not kills:
        return
    try:
        server.wait(_LAST_WORDS if kills else 0)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
