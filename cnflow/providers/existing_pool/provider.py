"""Live half of `cnflow.config.ExistingPool`: leads drivers to a pool; starts and ends no blocks.

::

    pools() ──> the router: apps with image= go to the pool of that image
    prepare(image) ──> there is a pool for it
    access(image) ──> endpoint, keys and tunnel ──> client bridge ──> the pool's interchange
    submit, ... ─────> refused: the pool's server has its own blocks
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.config.existing_pool import choose_pool
from cnflow.errors import BlockError, BlockRejectedError, ConfigurationError
from cnflow.model.block import Refused
from cnflow.model.finding import Finding, Verdict
from cnflow.model.image_identity import ImageIdentity
from cnflow.model.pool_settings import ClientRequest
from cnflow.providers.existing_pool.client import read_access

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from cnflow.config.existing_pool import ExistingPool
    from cnflow.ids import BlockId, NativeId, RunId
    from cnflow.interfaces.provider import Stop
    from cnflow.model.block import BlockRequest, BlockStatus
    from cnflow.model.image import Image
    from cnflow.model.pool_files import PoolAddress


class ExistingPoolBackend:
    """See `cnflow.interfaces.OffersPool`, and `cnflow.interfaces.Provider` for the rest.

    Args:
        settings: what the user wrote.
    """

    def __init__(self, settings: ExistingPool) -> None:
        self._settings = settings
        self._chosen: dict[Image, str] = {}
        """Pool by the image that it was chosen for; it stays that one when an upgrade gives it another image."""

    # A pool

    def pools(self) -> Sequence[PoolAddress]:
        """Read the pools of the server anew."""
        return read_access(self._settings).pools

    def access(self, image: Image) -> ClientRequest:
        """Return the way to the pool for *image*; its session is yet to be filled in."""
        settings = self._settings
        found = read_access(settings)
        chosen = self._chosen.get(image)
        same = [pool for pool in found.pools if pool.name == chosen]
        pool = same[0] if same else choose_pool(found.pools, image, settings.pool, settings.address)
        if pool is None:
            raise BlockRejectedError(
                f"The server at {settings.address} has several pools; choose one by pool= or image=."
            )
        self._chosen[image] = pool.name
        place = {"host": pool.host, "port": pool.clients_port}
        host = f"[{pool.host}]" if ":" in pool.host else pool.host
        return ClientRequest(
            session="",
            endpoint=f"tcp://{host}:{pool.clients_port}",
            server_key=pool.server_key,
            client_public=found.key.public,
            client_secret=found.key.secret,
            pipe=tuple(word.format(**place) if "{port}" in word else word for word in found.tunnel),
            timeout=settings.cmd_timeout,
        )

    # Blocks, of which there are none

    def endpoint_hosts(self) -> Collection[str]:
        """None: nobody connects to the driver."""
        return ()

    def prepare(self, image: Image) -> str:
        """Nothing: `access` finds the pool of *image*, of whose content nothing is known here."""
        del image
        return ImageIdentity("")

    def submit(self, requests: Sequence[BlockRequest]) -> Mapping[BlockId, NativeId | Refused]:
        """Refuse: the pool's server starts blocks."""
        refused = Refused.by(BlockRejectedError(f"Blocks of {self._settings.address} are started by its server alone."))
        return {request.block: refused for request in requests}

    def find(self, run: RunId, executor: str) -> Mapping[BlockId, NativeId]:
        """None."""
        del run, executor
        return {}

    def status(self, blocks: Collection[NativeId]) -> Mapping[NativeId, BlockStatus]:
        """None."""
        del blocks
        return {}

    def watch(self, changed: Callable[[], None]) -> Stop | None:
        """None."""
        del changed
        return None

    def cancel(self, blocks: Collection[NativeId]) -> Mapping[NativeId, str]:
        """Nothing to end."""
        del blocks
        return {}

    def logs(self, block: NativeId, node: int, last: int) -> bytes:
        """None; those of workers are with the pool's server."""
        del block, node, last
        return b""

    def preview(self, request: BlockRequest) -> Mapping[str, object]:
        """Nothing is sent."""
        del request
        return {}

    def check(self) -> Sequence[Finding]:
        """Check that the server can be reached, and list what it has."""
        about = f"pool {self._settings.address}"
        try:
            pools = self.pools()
        except (BlockError, ConfigurationError) as error:
            found, _, advice = str(error).partition("\n")
            return [Finding(about, Verdict.ABSENT, found, advice)]
        listed = ", ".join(f"{pool.name} ({pool.image or 'no image'})" for pool in pools)
        return [Finding(about, Verdict.GOOD, f"pools: {listed or 'none'}")]

    def close(self) -> None:
        """Nothing is open."""
