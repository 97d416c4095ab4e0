"""Brings an executor its interchange and its blocks, in a thread, and keeps the blocks until the end.

::

    start ──> provider made ──> image prepared ──> interchange launched ──> port known ──> controller runs ──> stopped
                  │                  │ digest set          │                    │                │                │
                  └──────────────────┴─────────────────────┴────────────────────┴────────────────┘                │
                         any step raises: on_failure(error), every task fails                       provider closed

The thread waits for systems that take seconds (an engine, a registry), so that the executor takes tasks meanwhile.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Protocol

from cnflow.blocks import Callbacks, Scaling
from cnflow.blocks.provider_calls import ProviderFaultError, naming
from cnflow.blocks.shutdown import LONGEST_CANCEL, LONGEST_SEARCH
from cnflow.clock import SystemClock
from cnflow.config.registry import backend_of
from cnflow.errors import ChannelError, CnflowError
from cnflow.executors.high_throughput import block_news
from cnflow.executors.high_throughput.block_requests import (
    BlockContext,
    FilePlaces,
    ManagerEndpoint,
    block_log_folder,
    short_life,
)
from cnflow.executors.high_throughput.controllers import Controller, ControllerParts, make_controller
from cnflow.executors.high_throughput.interchange_events import InterchangeEvents
from cnflow.executors.high_throughput.interchange_start import InterchangeStarter
from cnflow.executors.high_throughput.live_way import LiveWay
from cnflow.executors.high_throughput.metering import meters_of
from cnflow.executors.high_throughput.pool_news import PoolNews
from cnflow.executors.high_throughput.recorded_blocks import open_executor_ledger
from cnflow.executors.high_throughput.site_login import SiteLogin
from cnflow.executors.high_throughput.takeover import adopted_tasks_of, take_over
from cnflow.executors.high_throughput.ways import adopted_place, folder_of, refuse_other_way
from cnflow.executors.image_pins import ImagePins
from cnflow.interfaces import BuildsImages, Interruptible, OffersPool
from cnflow.model.image_identity import ImageIdentity
from cnflow.wire import messages as msg
from cnflow.wire.manager_messages import NoWorkers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cnflow.blocks import Demand
    from cnflow.config import HighThroughputExecutor
    from cnflow.executors.high_throughput.executor_events import ExecutorEvents
    from cnflow.executors.high_throughput.interchange_client import InterchangeClient
    from cnflow.executors.high_throughput.managers import ConnectedManagers
    from cnflow.executors.high_throughput.takeover import Takeover
    from cnflow.ids import BlockId
    from cnflow.interfaces import Provider, RunContext
    from cnflow.ledger import ExecutorLedger
    from cnflow.model.block import BlockRequest
    from cnflow.model.image import Image
    from cnflow.wire.keys import Keyring

logger = logging.getLogger(__name__)

_PREPARATIONS = 3
"""Attempts to prepare an image through a channel whose connection breaks."""

_PREPARE_AGAIN_AFTER = 2.0
"""Seconds between them."""

_LONGEST_END = 40.0
"""Seconds that the end of a run waits for one provider, beyond its search for blocks and its repeated cancels."""


class Owner(InterchangeEvents, Protocol):
    """Executor that the blocks are for; called from the threads of the provisioner and of the client."""

    def demand(self) -> Demand:
        """Tasks that are not reported, and what they need."""

    def on_failure(self, error: CnflowError) -> None:
        """Fail every task with *error*: there will be no block."""


class BlockProvisioner:
    """Starts the interchange of one executor and runs its block controller.

    Args:
        settings: of the executor.
        make_provider: makes the provider; called in the provisioner's thread.
        run: of which the blocks are a part.
        client: of the interchange; started here, stopped by the executor.
        managers: those of the interchange, for its restarts.
        events: of the executor, for the run's sinks.
    """

    def __init__(
        self,
        settings: HighThroughputExecutor,
        make_provider: Callable[[], Provider],
        run: RunContext,
        client: InterchangeClient,
        managers: ConnectedManagers,
        events: ExecutorEvents,
    ) -> None:
        self.events = events
        self._settings = settings
        self._make_provider = make_provider
        self._run = run
        self._client = client
        self._managers = managers
        self.log_dir = run.run_dir / settings.label
        """Folder of the logs of the interchange and of each block."""

        self._is_closing = threading.Event()
        self._provider: Provider | None = None
        self.thread = threading.Thread(target=self._serve, name=f"cnflow-{settings.label}-blocks", daemon=True)
        """Starts everything, and runs the controller; public so that it is not made to wait for its own end."""

        self.digest: Future[str] = Future()
        """See `cnflow.interfaces.Executor`."""

        self.digest.set_running_or_notify_cancel()  # so that nobody else can end it
        self.controller: Controller | None = None
        """None until the interchange listens."""

        self._secrets: Mapping[str, str] = {}
        """Texts of the image's secrets, read when the executor starts."""

        self.places = FilePlaces.of(settings, run)
        self.way = LiveWay(settings, self.log_dir, client, managers)
        self.pool_news = PoolNews(settings.label, SystemClock())
        self._login = SiteLogin(settings.provider)
        self._starter = InterchangeStarter(settings, run, client, managers, self.way, self.log_dir)

        self._meters = meters_of(run.spending, settings, run.adoptable_for)
        self.adopted_tasks = adopted_tasks_of(run, settings.label)
        """Tasks of a killed driver; None if none may be left."""

    def start(self, owner: Owner) -> None:
        """Begin, in the provisioner's thread; a login that asks the user comes first, in this one.

        Raises:
            ChannelError: that login fails.
        """
        if warning := short_life(self._settings):
            logger.warning("%s", warning)
        self._owner = owner
        self._login.begin()
        self.log_dir.mkdir(parents=True, exist_ok=True)
        self.thread.start()

    def image_now(self) -> ImageIdentity:
        """Return what the image's reference stands for at this moment: blocks run what it was when they began.

        Slow; safe from any thread, since it asks by a provider of its own, as ``cnflow lock`` does.

        Raises:
            ConfigurationError, BlockError: as `Provider.prepare` raises.
        """
        settings = self._settings.provider
        provider = backend_of(settings)(settings)
        try:
            with naming(provider, "prepare"):
                return ImageIdentity(provider.prepare(self._settings.image))
        finally:
            provider.close()

    def close(self) -> None:
        """Begin nothing more; blocks stay until `stop_blocks`. The interchange is stopped between the two."""
        self._is_closing.set()
        if self.controller is not None:
            self.controller.on_run_ending()
        elif isinstance(self._provider, Interruptible):
            self._provider.interrupt()

    def on_submitted(self, unfinished: int) -> None:
        """Look at once for blocks if there are more tasks than those that there are can run."""
        if self.controller is not None and unfinished > self.controller.enough_for:
            self.controller.wake()

    def on_news(self, message: msg.Drained | msg.BlockEmpty | msg.IdleTimes | NoWorkers) -> None:
        """Handle a message of the interchange about the executor's blocks, or about those of its pool."""
        if isinstance(message, NoWorkers):
            if (error := self.pool_news.on_message(message)) is not None:
                self._owner.on_failure(error)
        elif self.controller is not None:
            block_news.pass_on(message, self.controller)

    def stop_blocks(self) -> None:
        """Make the controller remove all blocks; does not wait for that."""
        if self.controller is not None:
            self.controller.stop()

    def join(self) -> None:
        """Wait until all blocks are removed and the provider is closed; not for ever: a provider may hang.

        The deadline is `_LONGEST_END` after the status lag of the provider and the time for repeated cancels. Blocks
        that may run on are then named in a warning.
        """
        if self.thread.is_alive() and self.thread is not threading.current_thread():
            lag = min(self._settings.provider.traits().status_lag, LONGEST_SEARCH)
            self.thread.join(_LONGEST_END + max(lag, LONGEST_CANCEL) + LONGEST_CANCEL)
            if self.thread.is_alive():
                self._warn_of_hanging_provider()
        self._set_digest("")

    def _warn_of_hanging_provider(self) -> None:
        controller = self.controller
        blocks: list[str] = sorted(controller.natives()) if controller is not None else []
        if controller is not None:
            blocks += [f"block {block} (its submission got no answer)" for block in controller.unconfirmed()]
        logger.warning(
            "the provider of executor %s did not finish in time at the end of the run; blocks that may run on: %s",
            self._settings.label,
            ", ".join(blocks) or "none is known",
        )

    # The provisioner's thread

    def _serve(self) -> None:
        try:
            self._client.prepare()
            with naming(self._settings.provider, "backend"):
                provider = self._provider = self._make_provider()
            try:
                self._provide(provider)
            finally:
                self.way.close()
                self._close_provider(provider)
        except ProviderFaultError as error:
            logger.exception("the provider of executor %s failed", self._settings.label)
            self._owner.on_failure(error)
        except CnflowError as error:
            self._owner.on_failure(error)
        except (
            BaseException
        ) as error:  # a provider may be any code; a thread that ends silently would leave tasks waiting
            label = self._settings.label
            logger.exception("executor %s failed", label)
            self._owner.on_failure(CnflowError(f"Executor {label!r} failed: {type(error).__name__}: {error}"))
        finally:
            self._login.close()
            self._set_digest("")

    def _provide(self, provider: Provider) -> None:
        settings = self._settings
        self._secrets = settings.image.read_secrets()
        if settings.image.recipe is not None and isinstance(provider, BuildsImages):
            with naming(provider, "build"):
                provider.build(settings.image, self.log_dir / "image-build.log")
        self._image, identity = self._prepare(provider)
        self._managers.places.on_prepared(identity)
        self._set_digest(str(identity))
        if identity:
            name = identity.facts.digest or "none in a registry"
            logger.info("executor %s runs image %s, id %s, digest %s", settings.label, settings.image, identity, name)
        left = take_over(self._run, settings.label, provider)
        if left is not None and left.endpoint is not None:
            refuse_other_way(settings.label, settings.way, left.endpoint.endpoint)
        endpoint = left.endpoint if left is not None else None
        if endpoint is None and not self._is_closing.is_set():
            endpoint = self._starter.start_new(provider, self._owner)
        if endpoint is None or self._is_ending:
            return
        if isinstance(provider, OffersPool):  # its own server has the blocks
            self._is_closing.wait()
            return
        keeps_keys = self._run.adoptable_for > 0
        with open_executor_ledger(self._run.ledger, settings, endpoint, left, keeps_keys=keeps_keys) as ledger:
            self._managers.ledger = ledger if self._run.adoptable_for else None
            self.way.use_folder(folder_of(endpoint.endpoint))
            controller = self.controller = self._make_controller(provider, endpoint, ledger)
            if left is not None:  # not before the controller is there: managers reconnect at once
                self._adopt(left, controller, provider)
            # An end that comes after this look finds the controller, and stops it.
            if not self._is_ending:
                controller.run()

    def _prepare(self, provider: Provider) -> tuple[Image, ImageIdentity]:
        """Have the image prepared; again if the connection to the site breaks meanwhile, as while an image is sent."""
        images, image = self._run.images or ImagePins(), self._settings.image
        if isinstance(provider, OffersPool):  # of the image's content nothing is known here
            with naming(provider, "prepare"):
                return image, ImageIdentity(provider.prepare(image))
        for attempt in range(1, _PREPARATIONS + 1):
            try:
                with naming(provider, "prepare"):
                    return images.resolve(image, provider.prepare)
            except ChannelError as error:
                if attempt == _PREPARATIONS or self._is_closing.wait(_PREPARE_AGAIN_AFTER):
                    raise
                logger.warning("executor %s tries its site again: %s", self._settings.label, error)
        raise AssertionError("the last attempt returns or raises")

    @property
    def _is_ending(self) -> bool:
        return self._is_closing.is_set() or self._client.is_lost

    def _close_provider(self, provider: Provider) -> None:
        """Close the provider once no call of it is out; a call that hangs is not waited for.

        Raises:
            CnflowError: the provider failed.
        """

        def close() -> None:
            with naming(provider, "close"):
                provider.close()

        if self.controller is None:
            close()
            return
        self.controller.close(close)

    def _adopt(self, left: Takeover, controller: Controller, provider: Provider) -> None:
        """Give the controller the blocks of a killed driver, and start an interchange where their managers search."""
        keys = left.endpoint.keys.public_keys() if left.endpoint and left.endpoint.keys else {}
        for block in left.natives:
            self._managers.on_block_admitted(block, keys.get(block, ""))
        self._managers.adopted.update(left.managers)
        self._managers.has_adopted = bool(left.managers)
        controller.adopt(left.natives, left.entry.next_block)
        if left.endpoint is not None:
            hosts, place = adopted_place(self._settings, left.endpoint.hosts, left.place)
            self._starter.connect(provider)
            self._starter.start(hosts, left.endpoint.keys, self._owner, place)
        if self.adopted_tasks is not None:
            self.adopted_tasks.on_bound(left.managers)

    def _make_controller(
        self, provider: Provider, endpoint: ManagerEndpoint, ledger: ExecutorLedger | None
    ) -> Controller:
        settings, client, run = self._settings, self._client, self._run
        logs = block_log_folder(settings, self.log_dir)
        context = BlockContext(
            settings,
            run.run,
            logs,
            endpoint,
            run.adoptable_for,
            self.events.is_on,
            run.sample_interval if self.events.is_on else None,
            run.log_size,
            run.json_logs,
            run.folder,
            secrets=self._secrets,
            image=self._image,
            driver_memory=self._managers.memory.place if self._managers.memory is not None else "",
        )
        callbacks = Callbacks(
            demand=self._owner.demand,
            make_requests=lambda batch: self._admit(batch, context),
            drain=lambda block: client.order(msg.Drain(block)),
            report_end=lambda block, reason: client.order(msg.BlockGone(block, reason)),
            forget=lambda block: self._forget(block, endpoint.keys),
            request_idle_times=lambda: client.order(msg.IdleTimesQuery()),
            give_up=self._owner.on_failure,
            ledger=ledger,
            explain_lateness=self.way.explain,
        )
        scaling = Scaling(run.strategy, run.max_idletime)
        watch = self.events.on_block if self.events.is_on else None
        return make_controller(ControllerParts(context, scaling, callbacks, self._admit, watch, self._meters), provider)

    def _admit(self, batch: Sequence[BlockId], context: BlockContext) -> list[BlockRequest]:
        """Make the requests for blocks, and order the interchange to accept their managers."""
        keys = context.endpoint.keys
        for block in batch:
            key = keys.block_keys(block).public if keys is not None else ""
            self._managers.on_block_admitted(block, key)
            self._client.order(msg.Admit(block, key))
        self.way.on_admitted()
        return [context.request(block) for block in batch]

    def _forget(self, block: BlockId, keys: Keyring | None) -> None:
        if keys is not None:
            keys.forget(block)
        self._managers.on_block_gone(block)  # before the order: an interchange that starts now never has the block
        self._client.order(msg.BlockGone(block, "its block is over"))
        self.way.on_block_gone(block)

    # Any thread

    def _set_digest(self, digest: str) -> None:
        if not self.digest.done():  # the provisioner's thread sets it first; the end of a run sets it after that only
            self.digest.set_result(digest)
