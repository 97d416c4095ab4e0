"""A provider in memory: behaves like a real one, starts nothing.

::

    FakeSystem                      the "queue": what runs, shared by all providers of a test
      ├── FakeProvider(settings, system)    one driver
      └── FakeProvider(settings, system)    the driver after a crash: finds the blocks of the one before

    a test decides:  system.end(native, ...)         a block ends
                     system.is_silent = True         no call is answered
                     system.refusal = Refused(...)   no block is accepted
                     system.loses_answers = True     blocks start, and their submission is not confirmed
                     system.is_deaf = True           no block is cancelled
                     system.is_unlistable = True     every find raises
                     system.lists_after = 60.0       blocks are listed so many seconds after they started
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from cnflow.clock import SystemClock
from cnflow.config.providers import ProviderSettings
from cnflow.errors import BlockError, BlockRejectedError
from cnflow.ids import NativeId
from cnflow.model.block import BlockState, BlockStatus, EndCause, Refusal, Refused
from cnflow.model.finding import Finding, Verdict
from cnflow.model.traits import LogsVia, Traits
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from cnflow.clock import Clock
    from cnflow.ids import BlockId, RunId
    from cnflow.interfaces.provider import Stop
    from cnflow.model.block import BlockRequest
    from cnflow.model.image import Image

FAILS = "fake-fail"
"""First word of a command that prints the second, and exits with the third; see `FakeProvider.submit`."""


@dataclass
class FakeBlock:
    """One block of a `FakeSystem`."""

    request: BlockRequest
    status: BlockStatus = field(default_factory=lambda: BlockStatus(BlockState.RUNNING))
    output: list[str] = field(default_factory=list)
    started_at: float = 0.0


class FakeSystem:
    """Blocks that exist, and the faults of the system that has them; see the module. Safe from any thread.

    Args:
        clock: measures `lists_after`; None takes the clock of this machine.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self.blocks: dict[NativeId, FakeBlock] = {}
        self.calls: list[tuple[str, str]] = []
        """Name of each call of `submit`, `status` and `cancel`, with the block that it was for; empty for `status`."""

        self.is_silent = False
        self.is_deaf = False
        self.is_unlistable = False
        self.lists_after = 0.0
        """Seconds from the start of a block until `find` lists it and `status` knows it."""

        self.loses_answers = False
        self.refusal: Refused | None = None
        self.first_state = BlockState.RUNNING
        """State of a block that was accepted."""

        self._changed = threading.Condition()
        self._listeners: list[Callable[[], None]] = []
        self._count = 0

    def end(
        self,
        native: NativeId,
        state: BlockState = BlockState.ENDED,
        *,
        message: str = "",
        cause: EndCause | None = None,
        exit_code: int | None = None,
    ) -> None:
        """Let a block end by itself; `BlockState.GONE` removes every trace of it."""
        with self._changed:
            if state is BlockState.GONE:
                self.blocks.pop(native, None)
            elif native in self.blocks:
                self.blocks[native].status = BlockStatus(state, message, cause, exit_code)
        self.notify()

    def record(self, call: str, block: str = "") -> None:
        """Record one call, so that `wait_for` looks again."""
        with self._changed:
            self.calls.append((call, block))
            self._changed.notify_all()

    def blocks_of(self, call: str) -> list[str]:
        """Return the blocks that *call* was made for, in order."""
        return [block for name, block in self.calls if name == call]

    def wait_for(self, condition: Callable[[], object], seconds: float = 20.0) -> None:
        """Wait until *condition* holds; it is looked at after each call and each change.

        Raises:
            TimeoutError: it did not hold in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: bool(condition()), seconds):
                raise TimeoutError(f"the condition did not hold within {seconds:g} s; calls: {self.calls}")

    def notify(self) -> None:
        """Let `wait_for` look again, and call the listeners of all watches."""
        with self._changed:
            self._changed.notify_all()
            listeners = list(self._listeners)
        for listener in listeners:
            listener()

    def add(self, request: BlockRequest) -> NativeId:
        """Start a block.

        Raises:
            BlockRejectedError: a block of this name exists.
        """
        with self._changed:
            if any(block.request.name == request.name for block in self.blocks.values()):
                raise BlockRejectedError(f"the name {request.name!r} is already in use")
            self._count += 1
            native = NativeId(f"native-{request.block}")
            if native in self.blocks:  # of another run
                native = NativeId(f"{native}.{self._count}")
            block = self.blocks[native] = FakeBlock(
                request, BlockStatus(self.first_state), started_at=self._clock.now()
            )
        self.record("submit", request.block)
        argv = request.command.argv if request.command else ()
        if argv[:1] == (FAILS,):
            self._print(block, argv[1])
            self.end(native, BlockState.FAILED, message=argv[1], cause=EndCause.OTHER, exit_code=int(argv[2]))
        else:
            self._print(block, " ".join(argv))
        return native

    def listed(self) -> dict[NativeId, FakeBlock]:
        """Return the blocks that the system lists now; one that started less than `lists_after` ago is missing."""
        latest = self._clock.now() - self.lists_after
        with self._changed:
            return {native: block for native, block in self.blocks.items() if block.started_at <= latest}

    def listen(self, listener: Callable[[], None]) -> Stop:
        """Call *listener* whenever a block changes, until the returned function is called."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    @staticmethod
    def _print(block: FakeBlock, text: str) -> None:
        block.output.extend(text.split("\n"))
        with block.request.log_file.open("a", encoding="utf-8") as log:
            log.write(f"{text}\n")


class FakeProvider:
    """Satisfies `cnflow.interfaces.Provider`, and its contract.

    Args:
        settings: made by the user.
        system: that the blocks live in; None makes one.
    """

    def __init__(self, settings: FakeProviderSettings | None = None, system: FakeSystem | None = None) -> None:
        self.settings = settings or FakeProviderSettings()
        self.system = system or FakeSystem()

    def endpoint_hosts(self) -> Collection[str]:
        """No addresses: a local socket file will do."""
        self._answer()
        return ()

    def prepare(self, image: Image) -> str:
        """Return a digest for any image, if the settings run images."""
        self._answer()
        self._refuse_unfit(image)
        return f"sha256:{image}" if image else ""

    def submit(self, requests: Sequence[BlockRequest]) -> Mapping[BlockId, NativeId | Refused]:
        """Start a block for each request.

        A request's command is printed. ``(FAILS, "words", "3")`` prints the words and exits with code 3; every other
        block runs until it is cancelled, or `FakeSystem.end` is called.
        """
        self._answer()
        return {request.block: self._submit(request) for request in requests}

    def find(self, run: RunId, executor: str) -> Mapping[BlockId, NativeId]:
        """Find blocks that live."""
        self.system.record("find")
        self._answer()
        if self.system.is_unlistable:
            raise BlockError("this user may not list blocks")
        return {
            block.request.block: native
            for native, block in self.system.listed().items()
            if (block.request.run, block.request.executor) == (run, executor) and not block.status.state.is_final
        }

    def status(self, blocks: Collection[NativeId]) -> Mapping[NativeId, BlockStatus]:
        """Report the status of blocks; unknown ones are gone."""
        self.system.record("status")
        self._answer()
        known = self.system.listed()
        return {native: known[native].status if native in known else BlockStatus(BlockState.GONE) for native in blocks}

    def watch(self, changed: Callable[[], None]) -> Stop | None:
        """Call *changed* after each `FakeSystem.end`, if the settings say so."""
        return self.system.listen(changed) if self.settings.has_watch else None

    def cancel(self, blocks: Collection[NativeId]) -> Mapping[NativeId, str]:
        """Remove blocks."""
        for native in blocks:
            self.system.record("cancel", native)
        if self.system.is_deaf:
            return dict.fromkeys(blocks, "the system is deaf")
        for native in blocks:
            self.system.blocks.pop(native, None)
        self.system.notify()
        return {}

    def logs(self, block: NativeId, node: int, last: int) -> bytes:  # noqa: ARG002 - a block has one node
        """Return the last lines printed."""
        self._answer()
        known = self.system.blocks.get(block)
        return "\n".join(known.output[-last:]).encode() if known else b""

    def preview(self, request: BlockRequest) -> Mapping[str, object]:
        """Return the name and image of a block; its variables and settings may hold secrets."""
        self._refuse_unfit(request.image)
        return {"name": request.name, "image": str(request.image), "variables": sorted(self.settings.environment)}

    def check(self) -> Sequence[Finding]:
        """Report whether the system answers."""
        verdict = Verdict.ABSENT if self.system.is_silent else Verdict.GOOD
        return [Finding("fake", verdict, "in memory")]

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def _submit(self, request: BlockRequest) -> NativeId | Refused:
        if self.system.refusal is not None:
            self.system.record("refused", request.block)
            return self.system.refusal
        try:
            self._refuse_unfit(request.image, request.nodes)
            native = self.system.add(request)
        except BlockError as error:
            return Refused.by(error)
        return Refused(Refusal.UNKNOWN, "the answer was lost") if self.system.loses_answers else native

    def _refuse_unfit(self, image: Image, nodes: int = 1) -> None:
        if nodes != 1:
            raise BlockRejectedError(f"nodes_per_block={nodes}: a block of FakeProvider is one node.")
        if bool(image) is not self.settings.runs_images:
            wanted = f"image {str(image)!r}" if image else "the bare node"
            raise BlockRejectedError(f"FakeProviderSettings(runs_images={self.settings.runs_images}) got {wanted}.")

    def _answer(self) -> None:
        if self.system.is_silent:
            raise BlockError("the fake system does not answer")


class FakeProviderSettings(ProviderSettings):
    """Settings of a `FakeProvider`."""

    backend: ClassVar[str | Callable[..., object]] = FakeProvider
    kind: Literal["fake"] = "fake"
    runs_images: bool = False
    has_watch: bool = False
    """`FakeProvider.watch` works; otherwise blocks are polled."""

    environment: dict[str, str] = Field(default_factory=dict)
    poll_period: float = 0.01
    status_lag: float = 0.0
    logs: Literal["shared file", "on request"] = "shared file"

    def traits(self) -> Traits:
        """Traits of blocks in memory."""
        return Traits(
            runs_images=self.runs_images,
            logs=LogsVia(self.logs),
            poll_period=Seconds(self.poll_period),
            status_lag=Seconds(self.status_lag),
        )
