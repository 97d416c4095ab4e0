"""Provider of blocks that are processes on hosts of a list, started through channels.

::

    submit ── a free host ──> SITE_DIR/runs/RUN/HOST/NAME/  settings.json (0600), run.sh
           ── sh START ─────> setsid sh run.sh ──> manager; its session outlives the channel
    status ── sh STATUS ────> one call for each host that has blocks, all at the same time
    cancel ── sh CANCEL ────> SIGTERM to the manager, then SIGKILL to all that carry its mark; the folder is removed

A native id is ``HOST:RUN/NAME``, so that a block is found again by the id alone. A host that does not answer leaves its
blocks out of the answer: they are as they were, as far as anybody knows.
"""

from __future__ import annotations

import posixpath
import re
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from cnflow.addresses import addresses_of_this_machine
from cnflow.config.registry import backend_of
from cnflow.errors import BlockError, BlockRejectedError, ChannelError, ConfigurationError
from cnflow.ids import BlockId, NativeId
from cnflow.model.block import BlockState, BlockStatus, EndCause, Refusal, Refused, block_name
from cnflow.model.finding import Finding, Verdict
from cnflow.providers._shared.exit_status import status_of_exit
from cnflow.providers._shared.manager_command import manager_command
from cnflow.providers._shared.python_path import python_path
from cnflow.providers._shared.secrets import redact
from cnflow.providers.ad_hoc import scripts
from cnflow.providers.ad_hoc.hosts import Hosts
from cnflow.sites.folder import BareNode, SiteFolder
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from cnflow.config.ad_hoc import AdHocProvider
    from cnflow.ids import RunId
    from cnflow.interfaces.channel import Channel
    from cnflow.interfaces.provider import Stop
    from cnflow.model.block import BlockRequest
    from cnflow.model.image import Image

S = TypeVar("S")
T = TypeVar("T")

_GRACE = 5
"""Seconds between SIGTERM and SIGKILL."""

_MOST_CALLS = 32
_KIB_OF_GIB = 2**20


class _Native(NamedTuple):
    host: str
    run: str
    name: str

    @classmethod
    def of(cls, native: NativeId) -> _Native:
        host, _, path = native.rpartition(":")
        run, _, name = path.partition("/")
        return cls(host, run, name)

    @property
    def id(self) -> NativeId:
        return NativeId(f"{self.host}:{self.run}/{self.name}")

    @property
    def folder(self) -> str:
        """Relative to the host's folder of cnflow."""
        return f"{_folder_of(self.run, self.host)}/{self.name}"


class AdHocBackend:
    """Starts managers on hosts; see the module.

    Args:
        settings: what the user wrote.
        cache_dir: where capsules are kept; None decides by `cnflow.capsule.default_cache_dir`.
        now: gives the time by which hosts are left alone.
    """

    def __init__(
        self,
        settings: AdHocProvider,
        *,
        cache_dir: Path | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._timeout = Seconds(settings.cmd_timeout)
        self._cache_dir = cache_dir
        self._made: dict[str, SiteFolder] | None = None
        self._hosts = Hosts(list(self._sites), settings.retry_after, lambda: Seconds(now()))
        self._lock = threading.Lock()
        self._is_closed = False

    def endpoint_hosts(self) -> Collection[str]:
        """Addresses of this machine, which hosts must be able to reach."""
        return addresses_of_this_machine()

    def prepare(self, image: Image) -> str:
        """Connect to all hosts, asking the user for passwords if need be; one that can be used is enough.

        Raises:
            BlockRejectedError: *image* is one, or no host can be used.
        """
        self._refuse(image, 1)
        failures = self._on_all(self._prepare)
        words = [f"{name}: {words}" for name, words in failures.items() if words]
        if len(words) == len(self._sites):
            raise BlockRejectedError("None of the hosts of AdHocProvider can be used.\n" + "\n".join(words))
        return ""

    def submit(self, requests: Sequence[BlockRequest]) -> Mapping[BlockId, NativeId | Refused]:
        """Start a manager for each request on a host of its own."""
        answers = _at_once(self._submit, requests)
        return {request.block: answer for request, answer in zip(requests, answers, strict=True)}

    def find(self, run: RunId, executor: str) -> Mapping[BlockId, NativeId]:
        """Ask all hosts for the folders of blocks that live."""
        prefix = block_name(run, executor, BlockId(""))

        def look(host: str) -> list[str]:
            base = self._sites[host].path_of(_folder_of(run, host))
            return self._run(host, scripts.FIND, base, prefix).split()

        found: dict[BlockId, NativeId] = {}
        for host, names in self._on_all(look).items():
            with self._lock:
                self._hosts.on_looked(host, names)
            for name in names:
                block = BlockId(name.removeprefix(prefix))
                if block.isdigit():  # another executor's label may begin with that of this one
                    found[block] = _Native(host, run, name).id
                    with self._lock:
                        self._hosts.hold(host, name)
        return found

    def status(self, blocks: Collection[NativeId]) -> Mapping[NativeId, BlockStatus]:
        """Ask each host for its blocks; those of a host that does not answer are left out."""
        statuses: dict[NativeId, BlockStatus] = {}
        for native, words in self._ask(blocks, scripts.STATUS, ()).items():
            status = _status_of(words)
            statuses[native.id] = status
            with self._lock:
                self._on_status(native, status)
        return statuses

    def watch(self, changed: Callable[[], None]) -> Stop | None:  # noqa: ARG002 - part of the seam
        """Return None: hosts are polled."""
        return None

    def cancel(self, blocks: Collection[NativeId]) -> Mapping[NativeId, str]:
        """End managers with all that they have started, and remove their folders."""
        answers = self._ask(blocks, scripts.CANCEL, (str(_GRACE),))
        unconfirmed = {}
        for native in map(_Native.of, blocks):
            words = answers.get(native)
            if words == "ended" or native.host not in self._sites:
                with self._lock:
                    self._hosts.release(native.host, native.name)
            elif words is None:
                unconfirmed[native.id] = f"{native.host} does not answer"
            else:
                unconfirmed[native.id] = f"processes of it on {native.host} do not end"
        if self._is_closed:
            self.close()
        return unconfirmed

    def logs(self, block: NativeId, node: int, last: int) -> bytes:  # noqa: ARG002 - a block has one node
        """Read the end of the block's output."""
        native = _Native.of(block)
        if native.host not in self._sites:
            return b""
        path = self._sites[native.host].path_of(f"{native.folder}/output")
        done = self._sites[native.host].channel.run(["tail", "-n", str(last), path], timeout=self._timeout)
        return done.stdout.encode()

    def preview(self, request: BlockRequest) -> Mapping[str, object]:
        """Hosts and the script of a manager; ``SITE_DIR`` and ``CAPSULE`` stand for folders on a host."""
        self._refuse(request.image, request.nodes)
        node = BareNode(self._settings.python or "python3", "CAPSULE")
        hidden = redact(self._settings.environment)
        files = self._files(request, node, f"SITE_DIR/runs/{request.run}/HOST/{request.name}", hidden)
        return {"hosts": self._hosts.names, "run.sh": files["run.sh"].decode().splitlines()}

    def check(self) -> Sequence[Finding]:
        """Look at each host."""
        findings = []
        for host, words in self._on_all(self._prepare).items():
            found, _, advice = words.partition("\n")
            verdict = Verdict.BAD if words else Verdict.GOOD
            findings.append(Finding(f"host {host}", verdict, found or "blocks can be started", advice))
        return findings

    def close(self) -> None:
        """Close the channels; blocks live on. A later call connects again."""
        self._is_closed = True
        made, self._made = self._made or {}, None
        for site in made.values():
            site.channel.close()

    # Parts of these

    @property
    def _sites(self) -> dict[str, SiteFolder]:
        """Hosts by name, made when asked for: channels of equal settings share a login until all are closed."""
        if self._made is None:
            self._made = self._make_sites()
        return self._made

    def _make_sites(self) -> dict[str, SiteFolder]:
        """Hosts by name; none is connected to. Two of one name, such as two ports of one machine, get a number."""
        sites: dict[str, SiteFolder] = {}
        for host in self._settings.hosts:
            channel: Channel = backend_of(host)(host)
            name = channel.name.replace(":", "_")
            same = sum(known.partition("#")[0] == name for known in sites)
            site = SiteFolder(channel, self._settings.site_dir, cache_dir=self._cache_dir, timeout=self._timeout)
            sites[f"{name}#{same + 1}" if same else name] = site
        return sites

    def _on_all(self, call: Callable[[str], T]) -> dict[str, T]:
        return dict(zip(self._sites, _at_once(call, self._sites), strict=True))

    def _refuse(self, image: Image, nodes: int) -> None:
        if image:
            raise BlockRejectedError(
                f"AdHocProvider starts processes on hosts and cannot run image {str(image)!r}. Use DockerProvider, or "
                "Config(ignore_images=True) to run every app on the bare node."
            )
        if nodes != 1:
            raise BlockRejectedError(f"nodes_per_block={nodes}: a block of AdHocProvider is one host.")

    def _prepare(self, host: str) -> str:
        """Make *host* ready; return why it cannot be used, or nothing."""
        site = self._sites[host]
        try:
            site.channel.open()
            site.bare_node(self._settings.python)
        except BlockError as error:
            with self._lock:
                self._hosts.on_failed(host, str(error))
            return str(error)
        return ""

    def _submit(self, request: BlockRequest) -> NativeId | Refused:
        try:
            self._refuse(request.image, request.nodes)
        except BlockError as error:
            return Refused.by(error)
        while True:
            with self._lock:
                host = self._hosts.take(request.name)
                if host is None:
                    kind = Refusal.FAILED if self._hosts.are_all_bad else Refusal.BUSY
                    return Refused(kind, f"No host is free.\n{self._hosts.reasons()}")
            answer = self._start(host, request)
            if answer is not None:
                return answer

    def _start(self, host: str, request: BlockRequest) -> NativeId | Refused | None:
        """Start a manager on *host*; None if that has not worked, and another host may do."""
        native, site = _Native(host, request.run, request.name), self._sites[host]
        try:
            node = site.bare_node(self._settings.python)
            folder = site.path_of(native.folder)
            for name, content in self._files(request, node, folder, self._settings.environment).items():
                site.channel.put(content, posixpath.join(folder, name))
        except ConfigurationError as error:
            self._leave(native, "")
            return Refused(Refusal.FOR_GOOD, str(error))
        except BlockError as error:
            self._leave(native, str(error))
            return None
        least = round(self._settings.min_free_space * _KIB_OF_GIB)
        prefix = block_name(request.run, request.executor, BlockId(""))
        try:
            output = self._run(host, scripts.START, folder, request.name, str(least), prefix)
        except ChannelError as error:  # it may have started
            with self._lock:
                self._hosts.on_unanswered(host, request.name)
            return Refused(Refusal.UNKNOWN, str(error), error)
        word, _, rest = output.strip().rpartition("\n")[2].partition(" ")
        if word == "started":
            return native.id
        if word == "busy":
            self._leave(native, f"it has the block {rest} already")
        elif word == "full":
            self._leave(native, f"only {int(rest) >> 10} MiB are free in {folder}; set min_free_space, or make room")
        else:
            self._leave(native, f"the manager cannot be started there: {output.strip() or 'sh printed nothing'}")
        return None

    def _leave(self, native: _Native, words: str) -> None:
        with self._lock:
            self._hosts.release(native.host, native.name)
            if words:
                self._hosts.on_failed(native.host, words)

    def _files(
        self, request: BlockRequest, node: BareNode, folder: str, variables: Mapping[str, str]
    ) -> dict[str, bytes]:
        """Content of the files of a block, by name or by absolute path."""
        settings, manager = self._settings, request.manager
        if node.worker is not None:
            manager = manager.with_worker_python(node.worker.executable, node.worker.version)
        command = request.command or manager_command(
            manager,
            python=node.python,
            root=node.root,
            settings_file=f"{folder}/settings.json",
            is_isolated=not node.is_own,
        )
        environment = {**variables, **command.environment}
        if node.is_own:
            environment["PYTHONPATH"] = python_path(sys.path, environment.get("PYTHONPATH", ""))
        script = scripts.run_script(settings.launcher.wrap(command.argv, 1), environment, settings.worker_init)
        return {**command.files, "run.sh": script.encode()}

    def _on_status(self, native: _Native, status: BlockStatus) -> None:
        if status.state is BlockState.RUNNING:
            self._hosts.hold(native.host, native.name)
        elif status.state is BlockState.FAILED:
            self._hosts.release(native.host, native.name)
            self._hosts.on_failed(native.host, status.message)
        else:
            self._hosts.release(native.host, native.name)
            self._hosts.on_worked(native.host)

    def _ask(self, blocks: Collection[NativeId], script: str, arguments: Sequence[str]) -> dict[_Native, str]:
        """Answer of *script* for each of *blocks* whose host answers."""
        by_host: dict[tuple[str, str], list[_Native]] = {}
        for native in map(_Native.of, blocks):
            if native.host in self._sites:
                by_host.setdefault((native.host, native.run), []).append(native)

        def ask(key: tuple[str, str]) -> dict[_Native, str]:
            host, run = key
            names = {native.name: native for native in by_host[key]}
            try:
                base = self._sites[host].path_of(_folder_of(run, host))
                output = self._run(host, script, base, *arguments, *names)
            except BlockError:
                return {}
            return {names[name]: words for name, words in scripts.states_in(output).items() if name in names}

        return {native: words for answer in _at_once(ask, by_host) for native, words in answer.items()}

    def _run(self, host: str, script: str, *arguments: str) -> str:
        """Output of *script* on *host*.

        Raises:
            ChannelError: the host cannot be reached, or the script failed.
        """
        done = self._sites[host].channel.run(scripts.sh(script, *arguments), timeout=self._timeout)
        if done.exit_code:
            words = (done.stderr or done.stdout).strip()[-400:] or f"exit code {done.exit_code}"
            raise ChannelError(f"{host} cannot do what it should: {words}")
        return done.stdout


def _folder_of(run: str, host: str) -> str:
    """Folder for blocks of one run on one host, of several that may share it; relative to the host's of cnflow."""
    return f"runs/{run}/{re.sub('[^A-Za-z0-9_.-]+', '-', host)}"


def _at_once(call: Callable[[S], T], subjects: Collection[S]) -> list[T]:
    """Results of *call*, which may wait for a host, for each of *subjects*, in their order."""
    if len(subjects) < 2:  # noqa: PLR2004 - a thread would not help
        return [call(subject) for subject in subjects]
    with ThreadPoolExecutor(min(_MOST_CALLS, len(subjects)), "cnflow-hosts") as pool:
        return list(pool.map(call, subjects))


def _status_of(words: str) -> BlockStatus:
    state, _, code = words.partition(" ")
    if state == "running":
        return BlockStatus(BlockState.RUNNING)
    if state == "exit":
        return status_of_exit(int(code) if code.isdigit() else 1, None)
    if state == "died":
        return BlockStatus(BlockState.FAILED, "Its processes were killed, or the host was restarted.", EndCause.NODE)
    return BlockStatus(BlockState.GONE)
