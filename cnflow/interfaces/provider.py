"""The seam between the block controller and whatever blocks are got from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from cnflow.ids import NativeId
    from cnflow.model.block import BlockRequest, BlockStatus


class Provider(Protocol):
    """Starts and stops blocks. Called from one thread; every call may block for seconds.

    A provider keeps no list of its blocks, the block controller does: it can be made anew after a crash and asked about
    blocks that it never saw.
    """

    runs_images: bool
    """Whether its blocks are containers; one that is asked for the other kind raises BlockRejectedError."""

    poll_period: float
    """Seconds between two calls of `status` while blocks live; as often as its system is happy to answer."""

    def endpoint_hosts(self) -> Collection[str]:
        """Addresses of this machine that blocks could reach, likeliest first; empty when a local socket file will do.

        Raises:
            BlockError: the provider's system does not answer; the message holds its own words.
        """

    def prepare(self, image: str) -> str:
        """Find *image*, pull it if the settings say so, and see that it can hold a manager.

        Returns:
            The image's digest, or an empty string on the bare node.

        Raises:
            ImageNotFoundError, ImageUnusableError: says what was found and what to do.
            BlockError: the provider's system does not answer.
        """

    def submit(self, request: BlockRequest) -> NativeId:
        """Ask for one block and return at once, before it runs.

        Raises:
            ProviderBusyError: transient; nothing was started.
            BlockRejectedError: permanent; nothing was started.
        """

    def status(self, blocks: Collection[NativeId]) -> Mapping[NativeId, BlockStatus]:
        """Status of each of *blocks*, in one query where the backend can. An id unknown to the backend is ``GONE``.

        Raises:
            BlockError: the provider's system does not answer; nothing is known.
        """

    def cancel(self, blocks: Collection[NativeId]) -> None:
        """End *blocks* and remove what is left of them. One that is gone already is no error."""

    def close(self) -> None:
        """Let go of connections and threads; blocks are left as they are."""
