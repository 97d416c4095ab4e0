"""The seam between the block controller and the systems that blocks come from: an engine, a queue, a cloud.

Life of a block through the seam, driver on the left, the provider's system on the right::

    prepare(image) ───────────────────────────────────────> image found, pulled and probed
    submit([request, ...]) ───────────────────────────────> asked for, by the name of the request
        ├── NativeId      accepted ─────────> PENDING ────> waits in a queue
        ├── BUSY, FAILED  nothing started: asked for again later
        ├── FOR_GOOD      nothing started: given up
        └── UNKNOWN       no answer ── find(run, executor) ── listed: adopted; absent: another is asked for,
                                                              and this one is cancelled if it is listed late
    status([native, ...])  every Traits.poll_period <────── RUNNING: its manager connects to the driver
    watch(changed)         at once, where the system can <─ ENDED, FAILED, GONE
    cancel([native, ...]) ────────────────────────────────> ended if need be, and removed
    close()                                                 connections are closed, blocks live on

Third parties: run both parts of the contract, `cnflow.testing.contracts.provider.ProviderContract` and
`cnflow.testing.contracts.provider_data.ProviderDataContract`, on a new provider.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from cnflow.errors import CnflowError
    from cnflow.ids import BlockId, NativeId, RunId
    from cnflow.model.block import BlockRequest, BlockStatus, Refused
    from cnflow.model.finding import Finding
    from cnflow.model.image import Image
    from cnflow.model.pool_files import PoolAddress
    from cnflow.model.pool_settings import ClientRequest
    from cnflow.units import Seconds

Stop = Callable[[], None]
"""Ends a `Provider.watch`; may be called once, from any thread."""


@runtime_checkable
class BuildsImages(Protocol):
    """A provider whose system builds images, too."""

    def build(self, image: Image, log: Path) -> None:
        """Build *image*, which has a recipe, unless the system has what the recipe gives. Called before `prepare`.

        Args:
            image: what is built.
            log: file for the builder's output; made only if something is built.

        Raises:
            ImageBuildError: it cannot be built; the message has the step, its last lines, and the user's next step.
            BlockError: the provider's system does not answer.
        """


@runtime_checkable
class ListsAllBlocks(Protocol):
    """A provider whose system lists the blocks of all runs of this user, also of runs whose folders are gone."""

    def find_all(self) -> Mapping[NativeId, str]:
        """Names of all blocks of this user that have not ended, as in `BlockRequest.name`.

        Raises:
            BlockError: the provider's system does not answer.
        """


@runtime_checkable
class OffersPool(Protocol):
    """A provider whose workers exist already, behind an interchange that serves several drivers; starts no blocks."""

    def pools(self) -> Sequence[PoolAddress]:
        """Pools of the server.

        Raises:
            BlockError: the server is not reached.
        """

    def access(self, image: Image) -> ClientRequest:
        """Way to the pool that runs *image*, with the keys of this driver; without a session.

        Raises:
            BlockError: the server is not reached, or has no such pool.
        """


@runtime_checkable
class RemovesRuns(Protocol):
    """A provider whose system has more of a run than its blocks: what they share, keys, an object that owns all."""

    def remove_run(self, run: RunId) -> None:
        """Remove all that the system has of *run*, whose driver is gone.

        Raises:
            BlockError: the provider's system does not answer.
        """

    def remove_orphans(self) -> Sequence[str]:
        """Remove what runs of this user have left whose drivers are gone; return names of it, for the user.

        Raises:
            BlockError: the provider's system does not answer.
        """


@runtime_checkable
class ProbesNodes(Protocol):
    """A provider that can look at its site from a node."""

    def probe_node(
        self, addresses: Sequence[str], ports: tuple[int, int], programs: Sequence[str], timeout: Seconds
    ) -> Sequence[Finding]:
        """Run a short job that looks whether nodes reach the machine of the interchange, and have programs.

        Args:
            addresses: of that machine; empty are those of the site's login node.
            ports: first and last port on which the interchange may listen; 0 and 0 is any.
            programs: names of those that nodes may need.
            timeout: seconds until the job is given up and cancelled.
        """


@runtime_checkable
class JoinsProviders(Protocol):
    """Several providers as one, for what concerns all; the blocks of each are asked of its member.

    Attributes:
        members: by label, in order of preference.
        failures: those that cannot run the image, after `prepare`, with the reason.
    """

    members: Mapping[str, JoinedProvider]
    failures: Mapping[str, CnflowError]


class Provider(Protocol):
    """Starts and stops blocks. Every call may block; a call that hangs delays calls of its own kind only.

    One thread calls `submit`, one `find` and `status`, one `cancel`, one `logs` and `watch`; so calls of one kind never
    overlap, and calls of different kinds do. All others are called before the first of these, or after the last.

    A provider keeps no list of its blocks, the block controller does: it can be made anew after a crash and asked about
    blocks that it never saw. What is known before any call is in `ProviderSettings.traits`.
    """

    def endpoint_hosts(self) -> Collection[str]:
        """Addresses of this machine that blocks could reach, likeliest first; empty when a local socket file will do.

        Raises:
            BlockError: the provider's system does not answer; the message quotes it.
        """

    def prepare(self, image: Image) -> str:
        """Find *image*, pull it if it or the settings say so, and see that it can hold a manager.

        Args:
            image: reference and options, such as its memory; an empty one, which is false, is the bare node. Options
                win over those of the provider's settings. One that the system does not have must be refused.

        Returns:
            The image's digest or id, which stands for its content, or an empty string on the bare node. It may be an
            `cnflow.model.image_identity.ImageIdentity`, a text that has what else is known of the image.

        Raises:
            ImageNotFoundError, ImageUnusableError: no manager can run in *image*; the message has the user's next step.
            BlockRejectedError: these settings cannot run *image*, e.g. an image on a provider of bare nodes.
            BlockError: the provider's system does not answer.
        """

    def submit(self, requests: Sequence[BlockRequest]) -> Mapping[BlockId, NativeId | Refused]:
        """Ask for *requests*, in one call where the system can, and return at once, before they run.

        Returns:
            An answer for each request. One that is missing counts as `Refusal.UNKNOWN`.

        Raises:
            ProviderBusyError, BlockRejectedError: nothing was started; counts as the refusal of all.
            BlockError: the provider's system does not answer; counts as `Refusal.UNKNOWN` for all.
        """

    def find(self, run: RunId, executor: str) -> Mapping[BlockId, NativeId]:
        """Blocks of one executor of *run* that the system has, by name, label or tag: after a crash or no answer.

        A block that has ended, or was created and will never start, is not among them.

        Raises:
            BlockError: the provider's system does not answer; nothing is known.
        """

    def status(self, blocks: Collection[NativeId]) -> Mapping[NativeId, BlockStatus]:
        """Status of *blocks*, in one query where the system can.

        A block that is absent from the answer was not reported: nothing follows from it. ``GONE`` is returned only
        where the system states that it does not have the block.

        Raises:
            BlockError: the provider's system does not answer; nothing is known.
        """

    def watch(self, changed: Callable[[], None]) -> Stop | None:
        """Call *changed*, from any thread, whenever a block may have another status; None if the system cannot.

        A watch only makes the next `status` come sooner: one that breaks, or misses a change, does no harm. However
        often *changed* is called, `status` is called once a second at most, or every ``poll_period`` if shorter.
        """

    def cancel(self, blocks: Collection[NativeId]) -> Mapping[NativeId, str]:
        """End *blocks* and remove what is left of them. One that is gone already is no error.

        Returns:
            Blocks whose end was not confirmed, each with the reason; they are cancelled again later. At the end of a
            run that is every second, for 10 seconds at most.
        """

    def logs(self, block: NativeId, node: int, last: int) -> bytes:
        """The *last* lines that node number *node* of *block* printed; empty if there are none, or none any more.

        Raises:
            BlockError: the provider's system does not answer.
        """

    def preview(self, request: BlockRequest) -> Mapping[str, object]:
        """The content of `submit` for *request*, without keys and other secrets; asks no system and needs no SDK.

        An empty mapping stands for nothing that is sent.

        Raises:
            ConfigurationError: the settings contradict each other.
        """

    def check(self) -> Sequence[Finding]:
        """Findings of `cnflow doctor`; a missing SDK or a system that does not answer is a finding, not an error."""

    def close(self) -> None:
        """Close connections and end threads; blocks are left as they are."""


class JoinedProvider(Provider, Protocol):
    """One of several providers of an executor.

    Attributes:
        is_foreign: returns True for a block of another of them, which `find` leaves out: both may have one system.
    """

    is_foreign: Callable[[BlockId], bool]


@runtime_checkable
class Interruptible(Protocol):
    """A provider whose `prepare` may wait for minutes, such as for a node."""

    def interrupt(self) -> None:
        """End such waits, now and later, by a `BlockError`, since the run ends; from any thread."""
