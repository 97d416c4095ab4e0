"""Provider of containers: one per block, followed while it runs, removed by the engine itself when it ends.

::

    prepare:  find image ──> pull ──> probe ──> capsule of its kind
    submit:   create ──> put settings ──> attach ──> start      (a failure removes the container)
                 └── capsule: mounted, or put beside the settings (`delivery`)
    running:  output ──> log file     engine's events ──> watch
    end:      engine removes it ──> exit code ──> status ENDED or FAILED
              cancel: SIGTERM, 5 s later SIGKILL
"""

from __future__ import annotations

import functools
import logging
import shutil
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from cnflow.addresses import LOOPBACK, addresses_of_this_machine, is_own
from cnflow.capsule import MARKED_ROOT, Kind, capsule_folder, capsule_tar
from cnflow.capsule.survey import ImageConfig, ImageReport, findings
from cnflow.errors import BlockError, BlockRejectedError, MissingExtraError
from cnflow.ids import BlockId, NativeId
from cnflow.log_tail import last_lines
from cnflow.model.block import BlockState, BlockStatus, Refusal, Refused
from cnflow.model.finding import Finding, Verdict
from cnflow.model.image_identity import ImageIdentity
from cnflow.model.traits import CapsuleVia
from cnflow.providers._shared.exit_status import status_of_exit
from cnflow.providers._shared.side_by_side import side_by_side
from cnflow.providers.docker import networking
from cnflow.providers.docker.delivery import CapsuleDelivery
from cnflow.providers.docker.follower import Follower
from cnflow.providers.docker.images import Found, find_image
from cnflow.providers.docker.refusals import ENOUGH_MEMORY, with_advice
from cnflow.providers.docker.requests import (
    BLOCK_LABEL,
    DELIVERED,
    DELIVERED_ROOT,
    RUN_LABEL,
    UNSEEN,
    create_arguments,
    files_archive,
    labels_of,
    node_command,
    preview_of,
    refuse_hidden_python,
    refuse_unfit,
)
from cnflow.providers.docker.responses import KILLED, STATES, cause_of, find_abandoned, seconds_of, status_of_listed
from cnflow.providers.docker.users import choose_user, is_rootless
from cnflow.providers.docker.watch import EngineWatch
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from cnflow.config import DockerProvider
    from cnflow.ids import RunId
    from cnflow.interfaces.provider import Stop
    from cnflow.model.block import BlockRequest
    from cnflow.model.image import Image
    from cnflow.providers.docker.client import Engine

logger = logging.getLogger(__name__)

_GRACE = 5.0
_REMOVAL = 10.0


class DockerBackend:
    """Starts managers in containers. A native id is the container's. Connects to the engine on first use.

    Args:
        settings: what the user wrote.
        cache_dir: where capsules and probes are kept; None decides by `cnflow.capsule.default_cache_dir`.
        capsule: makes the tar that is unpacked in a container, or takes it from the cache.
        folder: makes the folder that is mounted in place of it on an engine of this machine.
    """

    def __init__(
        self,
        settings: DockerProvider,
        *,
        cache_dir: Path | None = None,
        capsule: Callable[[Kind, Path | None], Path] = capsule_tar,
        folder: Callable[[Kind, Path | None], Path] = capsule_folder,
    ) -> None:
        self._settings = settings
        self._cache_dir = cache_dir
        is_local = settings.traits().capsule is CapsuleVia.MOUNT
        self._capsules = CapsuleDelivery(cache_dir, tar=capsule, folder=folder, may_mount=is_local)
        self._connected: Engine | None = None
        self._described: Mapping[str, Any] | None = None
        self._images: dict[str, Found] = {}
        self._followers: dict[NativeId, Follower] = {}

    def endpoint_hosts(self) -> Collection[str]:
        """Offer the gateway of the containers' network where the engine runs here, else all addresses of this machine.

        Raises:
            BlockRejectedError: the engine has no network of that name.
            BlockError: the engine does not answer.
        """
        engine = self._engine()
        if networking.is_desktop(self._info()):
            return [networking.DESKTOP_HOST]
        network = self._settings.network or "bridge"
        if network == "host" and engine.is_local:
            return [LOOPBACK]
        gateways = [] if networking.has_no_gateway(network) else self._gateways(network)
        addresses = addresses_of_this_machine()
        if is_rootless(self._info()):  # its bridges are in a namespace of their own, and hide addresses like theirs
            return networking.reachable_hosts(
                (), [one for one in addresses if one not in gateways], local=engine.is_local
            )
        own = [gateway for gateway in gateways if is_own(gateway)]
        return networking.reachable_hosts(own, addresses, local=engine.is_local)

    def build(self, image: Image, log: Path) -> None:
        """Build *image*, which has a recipe, unless the engine has what the recipe gives."""
        engine = self._engine()
        from cnflow.providers.docker.building import build_image  # noqa: PLC0415 - imports the SDK, an extra

        build_image(engine, image, self._cache_dir, log=log)

    def prepare(self, image: Image) -> ImageIdentity:
        """Find, pull by the policy, and probe *image*, and have its capsule ready; return an `ImageIdentity`."""
        settings = self._settings.for_image(image)
        refuse_unfit(image, settings.nodes_per_block, settings)
        self._remove_abandoned()
        user = choose_user(settings, self._info())
        found = find_image(self._engine(), image, self._cache_dir, user, self._capsules)
        if not found.holds_capsule:
            self._capsules.prepare(found.kind, self._info())
        self._images[image.key] = found
        for finding in findings(found.survey, ImageConfig(), image):
            if finding.verdict is Verdict.BAD:
                logger.warning("%s: %s. %s", finding.about, finding.found, finding.advice)
        return ImageIdentity(found.id, found.facts)

    def submit(self, requests: Sequence[BlockRequest]) -> Mapping[BlockId, NativeId | Refused]:
        """Create a container for each request, deliver capsule and settings into it, follow it, and start it.

        A container whose start is refused is removed.
        """
        return side_by_side(self._submit, requests)

    def find(self, run: RunId, executor: str) -> Mapping[BlockId, NativeId]:
        """Find containers that run by their labels."""
        listed = self._engine().containers(label=labels_of(run, executor))
        return {
            BlockId(str(one["Labels"][BLOCK_LABEL])): NativeId(str(one["Id"]))
            for one in listed
            if STATES.get(one["State"]) is BlockState.RUNNING
        }

    def status(self, blocks: Collection[NativeId]) -> Mapping[NativeId, BlockStatus]:
        """Report exit codes of followed containers, and ask for all others in one query."""
        listed = {NativeId(str(one["Id"])): one for one in self._engine().containers(label=RUN_LABEL)}
        return {block: self._status(block, listed.get(block)) for block in blocks}

    def watch(self, changed: Callable[[], None]) -> Stop | None:
        """Follow the engine's events from a thread: *changed* is called as soon as a container ends."""
        try:
            return EngineWatch(self._engine(), RUN_LABEL, changed).stop
        except BlockError as error:  # e.g. a proxy before the engine that forbids it; polling is enough
            logger.info("the end of a container is noticed by polling alone: %s", error)
            return None

    def cancel(self, blocks: Collection[NativeId]) -> Mapping[NativeId, str]:
        """Ask all containers to end, kill those that live 2 s later, and see that each is removed.

        Starts no thread, since it may be called while the interpreter shuts down.
        """
        unconfirmed: dict[NativeId, str] = {}
        try:
            unconfirmed = self._end_containers(blocks)
        except BlockError as error:
            unconfirmed = dict.fromkeys(blocks, str(error))
        for block in blocks:
            follower = None if block in unconfirmed else self._followers.pop(block, None)
            if follower is not None and not follower.wait(1.0):
                follower.close()
        return unconfirmed

    def logs(self, block: NativeId, node: int, last: int) -> bytes:  # noqa: ARG002 - a block has one node
        """Read the log file of a followed container, and ask the engine for any other."""
        follower = self._followers.get(block)
        return last_lines(follower.log_file, last) if follower else self._engine().last_lines(block, last)

    def preview(self, request: BlockRequest) -> Mapping[str, object]:
        """Arguments of ``docker create``, with the image's name and without the values of secret variables."""
        settings, command = self._settings.for_image(request.image), node_command(request, UNSEEN, DELIVERED_ROOT)
        return preview_of(create_arguments(request, settings, command, user=choose_user(settings, {})))

    def check(self) -> Sequence[Finding]:
        """Check whether the engine can be used, and from where its containers reach this machine."""
        about = self._settings.engine_address().noun
        try:
            engine, hosts = self._engine(), self.endpoint_hosts()
        except MissingExtraError:
            found = "not known: the package docker, the connection to an engine, is not installed"
            return [Finding(about, Verdict.ABSENT, found, "Run: pip install 'cnflow[docker]'")]
        except BlockError as error:
            found, _, advice = str(error).partition("\n")
            return [Finding(about, Verdict.ABSENT, found, advice)]
        reach = f"containers reach this machine at {', '.join(hosts)}"
        found = f"version {engine.version} answers at {engine.address.url} ({engine.address.source})"
        return [Finding(engine.dialect.noun, Verdict.GOOD, f"{found}; {reach}")]

    def close(self) -> None:
        """Stop following containers, which run on, and close the connection."""
        for follower in self._followers.values():
            follower.close()
        self._followers.clear()
        if self._connected is not None:
            self._connected.close()
            self._connected = None

    def report_on(self, image: Image) -> ImageReport:
        """Find, pull by the policy, and probe *image*; return all that is known of it.

        Raises:
            ImageNotFoundError, ImageUnusableError, BlockError: as `prepare`.
        """
        settings = self._settings.for_image(image)
        engine = self._engine()
        found = find_image(engine, image, self._cache_dir, choose_user(settings, self._info()))
        config = ImageConfig.of(engine.image_config(found.id), engine.image_machine(found.id))
        notes = tuple(findings(found.survey, config, image))
        return ImageReport(str(image), found.id, config, found.probe, found.kind.slug, found.survey, notes)

    def unpack_capsule(self, image: Image, directory: Path) -> None:
        """Write the capsule that *image* needs into *directory*, with the marker by which a provider knows it.

        Raises:
            ImageNotFoundError, ImageUnusableError, BlockError, CapsuleError: *directory* is as it was.
        """
        found = find_image(self._engine(), image, self._cache_dir, capsules=self._capsules)
        shutil.copytree(capsule_folder(found.kind, self._cache_dir), directory, dirs_exist_ok=True)

    def _engine(self) -> Engine:
        """Return the connected engine.

        Raises:
            MissingExtraError: the SDK is not installed.
            BlockError: the engine does not answer.
        """
        if self._connected is None:
            with MissingExtraError.for_import("The provider 'docker'", "docker"):
                from cnflow.providers.docker.client import Engine  # noqa: PLC0415 - imports the SDK, an extra
            self._connected = Engine(self._settings)
        return self._connected

    def _info(self) -> Mapping[str, Any]:
        """Return the engine's description of itself; it is asked once."""
        if self._described is None:
            self._described = self._engine().info()
        return self._described

    def _gateways(self, network: str) -> list[str]:
        engine = self._engine()
        inspected = engine.inspect_network(network)
        if inspected is None:
            known = engine.network_names()
            raise BlockRejectedError(
                f"The {engine.dialect.noun} has no network {network!r}.{did_you_mean(network, known)} "
                f"Known: {', '.join(known)}.",
            )
        return networking.gateways_of(inspected)

    def _remove_abandoned(self) -> None:
        """Remove containers that a driver created and was killed before it could start; others remove themselves."""
        engine = self._engine()
        listed = engine.containers(label=RUN_LABEL)
        created = [one for one in listed if STATES.get(one["State"]) is BlockState.PENDING]
        for container in find_abandoned(created, seconds_of(str(engine.info()["SystemTime"]))) if created else ():
            engine.remove(container)

    def _submit(self, request: BlockRequest) -> NativeId | Refused:
        try:
            refuse_unfit(request.image, request.nodes, self._settings.for_image(request.image))
            if request.image.key not in self._images:
                self.prepare(request.image)
        except BlockError as error:
            return Refused.by(error)
        found = self._images[request.image.key]
        try:
            capsule = "" if found.holds_capsule else self._capsules.folder_to_mount(found.kind)
            try:
                return self._start(request, found, capsule)
            except BlockRejectedError as error:
                if not self._capsules.on_refused(error, capsule):
                    raise
            return self._start(request, found, "")
        except BlockRejectedError as error:
            return Refused.by(
                with_advice(error, found.settings.folders_to_mount(request.shared_folders), request.image.name)
            )
        except BlockError as error:  # the engine stopped answering in the midst of it
            return Refused(Refusal.UNKNOWN, str(error), error)

    def _start(self, request: BlockRequest, image: Found, capsule: str) -> NativeId:
        """Start a container, in which the folder *capsule* is mounted; an empty one is unpacked there instead."""
        engine, settings = self._engine(), image.settings
        root = MARKED_ROOT if image.holds_capsule else DELIVERED_ROOT
        command = node_command(request, image.probe, root, carries_python=image.kind.carries_python)
        refuse_hidden_python(image.probe.executable, settings.folders_to_mount(request.shared_folders))
        if capsule:
            command = replace(command, mounts={**command.mounts, capsule: f"{DELIVERED_ROOT}:ro"})
        user = choose_user(settings, self._info())
        arguments = create_arguments(request, settings, command, user=user, image_id=image.id)
        container = self._create(request, arguments)
        with engine.remove_on_failure(container):
            root = DELIVERED if arguments.get("read_only") else "/"
            engine.unpack(container, root, files_archive(command.files, image.probe, root, is_mounted=bool(capsule)))
            if not capsule and not image.holds_capsule:
                with self._capsules.tar(image.kind).open("rb") as tar:
                    engine.unpack(container, DELIVERED_ROOT, tar)
            attached = engine.attach(container, has_terminal=bool(settings.create.get("tty")))
            follow = functools.partial(
                Follower, attached, request.log_file, request.manager.log_size, settings.memory_limit
            )
            native = NativeId(container)
            try:
                engine.start(container)
            except BlockRejectedError:
                attached.close()
                raise
            except BaseException:  # it may run: then `find` lists it, and its output is followed as any other's
                self._followers[native] = follow()
                raise
        self._followers[native] = follow()
        return native

    def _create(self, request: BlockRequest, arguments: Mapping[str, Any]) -> str:
        """Create a container, instead of one of its name that was created and never started, if need be.

        Raises:
            BlockRejectedError: the engine refuses it.
            BlockError: the block runs already, from an earlier submission that got no answer; `find` lists it.
        """
        engine = self._engine()
        try:
            return engine.create(arguments)
        except BlockRejectedError as refusal:
            labels = [*labels_of(request.run, request.executor), f"{BLOCK_LABEL}={request.block}"]
            own = engine.containers(label=labels)
            if any(STATES.get(one["State"]) is BlockState.RUNNING for one in own):
                raise BlockError(str(refusal)) from refusal
            leftovers = [one for one in own if STATES.get(one["State"]) is BlockState.PENDING]
            if not leftovers:
                raise
        for leftover in leftovers:  # of an earlier submission that got no answer
            engine.remove(str(leftover["Id"]))
        return engine.create(arguments)

    def _status(self, block: NativeId, listed: Mapping[str, Any] | None) -> BlockStatus:
        follower = self._followers.get(block)
        if listed is not None and (follower is None or STATES.get(listed["State"]) is not BlockState.ENDED):
            return status_of_listed(str(listed["State"]), str(listed["Status"]))
        if follower is None:
            return BlockStatus(BlockState.GONE)
        if not follower.wait(_REMOVAL) or follower.exit_code is None:
            return BlockStatus(BlockState.GONE, "The connection that reports its end was lost.")
        code = follower.exit_code
        memory = follower.memory_limit
        hint = ""
        if code == KILLED:
            limit = f"memory={memory!r}" if memory else "the machine's memory"
            hint = f"by hand, or by the kernel for using more than {limit}"
            hint += f". {ENOUGH_MEMORY}" if memory else ""
        return status_of_exit(code, follower.log_file, hint, cause_of(code, has_memory_limit=memory is not None))

    def _end_containers(self, blocks: Collection[NativeId]) -> dict[NativeId, str]:
        engine = self._engine()
        for block in blocks:
            engine.terminate(block)
        deadline = time.monotonic() + _GRACE
        for block in blocks:
            engine.await_removal(block, deadline - time.monotonic())
        for block in blocks:
            engine.remove(block)
        late = [block for block in blocks if not engine.await_removal(block, _REMOVAL)]
        return dict.fromkeys(late, f"the container is still being removed after {_REMOVAL:.0f} s")
