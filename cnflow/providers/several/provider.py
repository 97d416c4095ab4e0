"""Live half of several providers of one executor: each under its label, which begins the native ids of its blocks.

::

    SeveralBackend ── members: MemberBackend("local"), MemberBackend("slurm") ──> the block controllers, one for each
        │                         submit ──> "slurm/4711"        status, cancel("slurm/4711") ──> "4711" to Slurm
        ├── prepare, build ──> all that can; one that cannot is passed over: `failures`
        ├── endpoint_hosts ──> addresses for blocks of all
        ├── place_interchange ──> the provider whose site it is
        └── find, status, cancel of any block ──> the provider that its id names: adoption, `cnflow clean`
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cnflow.config.registry import backend_of
from cnflow.config.several import SeveralProviders, members_of
from cnflow.errors import BlockError, BlockRejectedError, CnflowError
from cnflow.ids import NativeId
from cnflow.interfaces import BuildsImages, HostsInterchange, Interruptible
from cnflow.interfaces.provider import ListsAllBlocks, RemovesRuns

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from cnflow.ids import BlockId, RunId
    from cnflow.interfaces import InterchangeRequest, PlacedInterchange, Provider
    from cnflow.interfaces.provider import Stop
    from cnflow.model.block import BlockRequest, BlockStatus, Refused
    from cnflow.model.finding import Finding
    from cnflow.model.image import Image

_LOOPBACK = "127.0.0.1"


class MemberBackend:
    """One of the providers: its native ids begin with its label, and everything else is its own.

    Args:
        label: of the provider.
        provider: the live half.
    """

    def __init__(self, label: str, provider: Provider) -> None:
        self.label = label
        self.provider = provider
        self._prefix = f"{label}/"
        self.is_foreign: Callable[[BlockId], bool] = lambda _: False

    def endpoint_hosts(self) -> Collection[str]:
        """See `Provider`."""
        return self.provider.endpoint_hosts()

    def prepare(self, image: Image) -> str:
        """See `Provider`."""
        return self.provider.prepare(image)

    def submit(self, requests: Sequence[BlockRequest]) -> Mapping[BlockId, NativeId | Refused]:
        """See `Provider`."""
        answers = self.provider.submit(requests)
        return {block: self.outer(each) if isinstance(each, str) else each for block, each in answers.items()}

    def find(self, run: RunId, executor: str) -> Mapping[BlockId, NativeId]:
        """See `Provider`; without the blocks of another provider of the executor, if both have one system."""
        found = self.provider.find(run, executor)
        return {block: self.outer(native) for block, native in found.items() if not self.is_foreign(block)}

    def status(self, blocks: Collection[NativeId]) -> Mapping[NativeId, BlockStatus]:
        """See `Provider`."""
        own = self.own(blocks)
        return {self.outer(native): each for native, each in self.provider.status(own).items()} if own else {}

    def watch(self, changed: Callable[[], None]) -> Stop | None:
        """See `Provider`."""
        return self.provider.watch(changed)

    def cancel(self, blocks: Collection[NativeId]) -> Mapping[NativeId, str]:
        """See `Provider`."""
        own = self.own(blocks)
        return {self.outer(native): why for native, why in self.provider.cancel(own).items()} if own else {}

    def logs(self, block: NativeId, node: int, last: int) -> bytes:
        """See `Provider`."""
        return self.provider.logs(self.inner(block), node, last)

    def preview(self, request: BlockRequest) -> Mapping[str, object]:
        """See `Provider`."""
        return self.provider.preview(request)

    def check(self) -> Sequence[Finding]:
        """See `Provider`; what each finding is about begins with the label."""
        return [replace(each, about=f"{self.label}: {each.about}") for each in self.provider.check()]

    def close(self) -> None:
        """See `Provider`."""
        self.provider.close()

    def outer(self, native: NativeId) -> NativeId:
        """Return the id of the provider's system with the label before it."""
        return NativeId(self._prefix + native)

    def inner(self, native: NativeId) -> NativeId:
        """Return the id in the provider's own system."""
        return NativeId(native.removeprefix(self._prefix))

    def own(self, natives: Collection[NativeId]) -> list[NativeId]:
        """Return the ids, in the provider's own system, of those of *natives* that are its own."""
        return [self.inner(native) for native in natives if native.startswith(self._prefix)]


class SeveralBackend:
    """Several providers as one, for what concerns all; see the module.

    Args:
        settings: of the providers.

    Attributes:
        members: by label, in order of preference.
        failures: providers that cannot run the image, with the reason.

    Raises:
        MissingExtraError: the packages of one are not installed.
    """

    def __init__(self, settings: SeveralProviders) -> None:
        self._settings = settings
        self._own = members_of(settings)
        self.members: dict[str, MemberBackend] = {
            label: MemberBackend(label, backend_of(own)(own)) for label, own in self._own.items()
        }
        self.failures: dict[str, CnflowError] = {}

    def endpoint_hosts(self) -> Collection[str]:
        """Addresses that blocks of some provider reach; blocks try all of them.

        Raises:
            CnflowError: no provider is left that has any; of the first.
        """
        found: list[list[str]] = []
        for label, each in self.members.items():
            if label in self.failures:
                continue
            try:
                found.append(list(each.endpoint_hosts()))
            except BlockError as error:
                self.failures[label] = error
        if not found:
            raise next(iter(self.failures.values()))
        hosts = list(dict.fromkeys(host for each in found for host in each))
        return [*hosts, _LOOPBACK] if hosts and not all(found) and _LOOPBACK not in hosts else hosts

    def build(self, image: Image, log: Path) -> None:
        """Build *image* at each provider that can."""
        for each in self.members.values():
            if isinstance(each.provider, BuildsImages):
                each.provider.build(image, log)

    def prepare(self, image: Image) -> str:
        """Prepare *image*, or the provider's own, at each; one that cannot is passed over.

        Raises:
            CnflowError: none can; of the first.
        """
        identities: list[str] = []
        for label, each in self.members.items():
            try:
                identities.append(each.prepare(image or self._own[label].default_image))
            except BlockError as error:
                self.failures[label] = error
        if not identities:
            raise next(iter(self.failures.values()))
        return identities[0] if image else ""

    def place_interchange(self, request: InterchangeRequest) -> PlacedInterchange:
        """Have the provider whose site it is make the machine."""
        label = self._settings.labels[self._settings.at_site]
        provider = self.members[label].provider
        if label in self.failures:
            raise self.failures[label]
        if not isinstance(provider, HostsInterchange):
            raise BlockRejectedError(f"{type(provider).__name__} runs no interchange; set interchange='driver'.")
        has_local_blocks = any(own.site() is None for own in self._own.values())
        return provider.place_interchange(request._replace(has_local_blocks=has_local_blocks))

    def interrupt(self) -> None:
        """End waits of all."""
        for each in self.members.values():
            if isinstance(each.provider, Interruptible):
                each.provider.interrupt()

    def submit(self, requests: Sequence[BlockRequest]) -> Mapping[BlockId, NativeId | Refused]:
        """Ask the first provider; executors ask each by its own controller."""
        return next(iter(self.members.values())).submit(requests)

    def find(self, run: RunId, executor: str) -> Mapping[BlockId, NativeId]:
        """Blocks of all; one that two providers of one system list counts as the first one's."""
        found: dict[BlockId, NativeId] = {}
        for each in self.members.values():
            found = {**each.find(run, executor), **found}
        return found

    def find_all(self) -> Mapping[NativeId, str]:
        """Names of all blocks of this user, at the providers that can list them."""
        names: dict[NativeId, str] = {}
        for each in self.members.values():
            if isinstance(each.provider, ListsAllBlocks):
                names.update({each.outer(native): name for native, name in each.provider.find_all().items()})
        return names

    def remove_run(self, run: RunId) -> None:
        """Remove what systems have of *run*."""
        for each in self.members.values():
            if isinstance(each.provider, RemovesRuns):
                each.provider.remove_run(run)

    def remove_orphans(self) -> Sequence[str]:
        """Remove what runs of this user have left."""
        return [
            f"{each.label}: {name}"
            for each in self.members.values()
            if isinstance(each.provider, RemovesRuns)
            for name in each.provider.remove_orphans()
        ]

    def status(self, blocks: Collection[NativeId]) -> Mapping[NativeId, BlockStatus]:
        """Status of *blocks*, of each from its own provider."""
        statuses: dict[NativeId, BlockStatus] = {}
        for each in self.members.values():
            statuses.update(each.status(blocks))
        return statuses

    def watch(self, changed: Callable[[], None]) -> Stop | None:
        """Nothing: each controller watches its own provider."""
        del changed
        return None

    def cancel(self, blocks: Collection[NativeId]) -> Mapping[NativeId, str]:
        """End *blocks*, each by its own provider; one that raises leaves its blocks unconfirmed."""
        left: dict[NativeId, str] = {}
        for each in self.members.values():
            try:
                left.update(each.cancel(blocks))
            except BlockError as error:
                left.update(dict.fromkeys(map(each.outer, each.own(blocks)), str(error)))
        return left

    def logs(self, block: NativeId, node: int, last: int) -> bytes:
        """See `Provider`."""
        label = block.partition("/")[0]
        return self.members[label].logs(block, node, last) if label in self.members else b""

    def preview(self, request: BlockRequest) -> Mapping[str, object]:
        """First request of each provider, by label."""
        return {label: sent for label, each in self.members.items() if (sent := each.preview(request))}

    def check(self) -> Sequence[Finding]:
        """Findings of all."""
        return [finding for each in self.members.values() for finding in each.check()]

    def close(self) -> None:
        """Close all; the first error is raised once all are closed."""
        failed: list[Exception] = []
        for each in self.members.values():
            try:
                each.close()
            except Exception as error:  # noqa: BLE001 - raised below, after the others are closed
                failed.append(error)
        if failed:
            raise failed[0]
