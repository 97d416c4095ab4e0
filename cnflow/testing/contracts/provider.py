"""Contract of a provider (`cnflow.interfaces.Provider`), first part: its blocks start, end and are found again.

The second part is `cnflow.testing.contracts.provider_data.ProviderDataContract`. Derive one class from both in a test
module, name it ``Test...``, and override these fixtures::

    hook (fixture)        gives                                                       must be overridden
    ─────────────────────────────────────────────────────────────────────────────────────────────────────
    make_provider         function: variables of the blocks -> new provider, always   yes
                          of the same system
    traits                `ProviderSettings.traits` of these providers                 yes
    image                 image that blocks can run; empty for the bare node          if it runs images
    refused_image         one of the other kind: an image for a provider of bare      yes
                          nodes, an empty string for one of images
    unknown_block         native id that no block has, in the system's form           yes
    running_command       `NodeCommand` that prints "ready" and runs on               if there is no POSIX shell
    stubborn_command      the same, and ignores SIGTERM                               if there is no POSIX shell
    failing_command       prints "cannot go on" and exits with code 3                 if there is no POSIX shell
    patience              seconds to wait for something in the system, by default 60  if the system is slow
    submit_limit          seconds that `submit` of three blocks may take, by          if the system is slow
                          default 5; the time of ten calls of `status` is added

Life of a block in these tests, and the calls that each part is about::

    make_request ──> prepare ──> submit ──> status: RUNNING ──> status: FAILED, absent from find
                                                │
                    new provider, find, status ─┤
                                                └──> cancel ──> status: final; cancel again
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cnflow.errors import BlockRejectedError
from cnflow.ids import BlockId, NativeId, RunId
from cnflow.interfaces.provider import Provider
from cnflow.model.block import BlockRequest, BlockState, Refusal, Refused
from cnflow.model.image import Image
from cnflow.model.manager_settings import ManagerSettings
from cnflow.model.node_command import NodeCommand
from cnflow.model.traits import NodesVia, Traits

if TYPE_CHECKING:
    from pathlib import Path

MakeProvider = Callable[[Mapping[str, str]], Provider]
MakeRequest = Callable[..., BlockRequest]
Start = Callable[..., NativeId]
WaitUntil = Callable[[Callable[[], object]], object]

SECRET_KEY = "S3CRET-S3CRET"  # noqa: S105 - to be looked for
EXECUTOR = "htex"


class ProviderContract:
    """Promises of every provider about its blocks; see the module for the hooks.

    A complete test module is on the page "Write a backend" (docs/how-to/write-a-backend.md).
    """

    # Hooks

    @pytest.fixture
    def make_provider(self) -> MakeProvider:
        """Override: makes a provider of the system under test; its blocks have the variables given."""
        raise NotImplementedError

    @pytest.fixture
    def traits(self) -> Traits:
        """Override: traits of the settings that `make_provider` uses."""
        raise NotImplementedError

    @pytest.fixture
    def image(self) -> str:
        """Image that blocks can run."""
        return ""

    @pytest.fixture
    def refused_image(self) -> str:
        """Override: an image of the kind that the provider refuses."""
        raise NotImplementedError

    @pytest.fixture
    def unknown_block(self) -> NativeId:
        """Override: native id of no block."""
        raise NotImplementedError

    @pytest.fixture
    def running_command(self) -> NodeCommand:
        """Command that prints "ready" and runs on."""
        return NodeCommand(("sh", "-c", "echo ready; while :; do sleep 0.1; done"))

    @pytest.fixture
    def stubborn_command(self) -> NodeCommand:
        """Command that runs on after SIGTERM."""
        return NodeCommand(("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"))

    @pytest.fixture
    def failing_command(self) -> NodeCommand:
        """Command that prints "cannot go on" and exits with code 3."""
        return NodeCommand(("sh", "-c", "echo cannot go on >&2; exit 3"))

    @pytest.fixture
    def patience(self) -> float:
        """Seconds to wait for something in the system."""
        return 60.0

    @pytest.fixture
    def submit_limit(self) -> float:
        """Seconds that `submit` of three blocks may take, besides the time of ten calls of `status`."""
        return 5.0

    # Tools

    @pytest.fixture
    def wait_until(self, patience: float) -> WaitUntil:
        """Wait for a condition, and return its first true value."""

        def wait(condition: Callable[[], object]) -> object:
            deadline = time.monotonic() + patience
            while not (value := condition()):
                assert time.monotonic() < deadline, f"this did not happen within {patience:g} s"
                time.sleep(0.02)
            return value

        return wait

    @pytest.fixture
    def provider(self, make_provider: MakeProvider) -> Iterator[Provider]:
        """Make a provider, closed at the end."""
        made = make_provider({})
        yield made
        made.close()

    @pytest.fixture
    def make_request(self, tmp_path: Path, image: str, running_command: NodeCommand) -> MakeRequest:
        """Make requests of one run: ``make_request(block="0", image=..., command=...)``."""
        run = RunId(f"test-{uuid.uuid4().hex[:12]}")

        def make(block: str = "0", *, image: str = image, command: NodeCommand = running_command) -> BlockRequest:
            manager = ManagerSettings(
                hosts=(), endpoint="ipc:///nowhere", executor=EXECUTOR, block=block, secret_key=SECRET_KEY
            )
            log_file = tmp_path / f"block-{block}.log"
            return BlockRequest(run, EXECUTOR, BlockId(block), Image.of(image), manager, log_file, command=command)

        return make

    @pytest.fixture
    def start(self, make_provider: MakeProvider, wait_until: WaitUntil) -> Iterator[Start]:
        """Submit a request, wait until the block runs or has ended, and cancel it at the end of the test."""
        blocks: list[NativeId] = []

        def submit(provider: Provider, request: BlockRequest) -> NativeId:
            native = submit_one(provider, request)
            blocks.append(native)
            wait_until(lambda: state_of(provider, native) not in {BlockState.PENDING, BlockState.UNKNOWN, None})
            return native

        yield submit
        cleaner = make_provider({})
        cleaner.cancel(blocks)
        cleaner.close()

    # Before a block

    def test_hosts_are_addresses(self, provider: Provider) -> None:
        """`endpoint_hosts` returns texts, none of them empty."""
        assert all(host == str(host).strip() != "" for host in provider.endpoint_hosts())

    def test_a_prepared_image_has_a_digest_and_a_bare_node_has_none(self, provider: Provider, image: str) -> None:
        """`prepare` returns a digest for an image alone."""
        assert bool(provider.prepare(Image.of(image))) is bool(image)

    def test_the_other_kind_of_image_is_refused_and_nothing_is_started(
        self, provider: Provider, make_request: MakeRequest, refused_image: str
    ) -> None:
        """`prepare` raises, and `submit` returns `Refusal.FOR_GOOD`."""
        with pytest.raises(BlockRejectedError):
            provider.prepare(Image.of(refused_image))
        assert_refused(provider, make_request(image=refused_image))

    def test_several_nodes_are_refused_where_a_block_is_one_node(
        self, provider: Provider, make_request: MakeRequest, traits: Traits
    ) -> None:
        """`submit` returns `Refusal.FOR_GOOD`, unless a launcher starts managers on all nodes."""
        if traits.nodes is not NodesVia.ONE:
            pytest.skip(f"managers of several nodes start by {traits.nodes.value}")
        assert_refused(provider, replace(make_request(), nodes=2))

    # A block's life

    def test_a_block_runs_until_it_is_cancelled_and_then_is_over(
        self, provider: Provider, make_request: MakeRequest, start: Start
    ) -> None:
        """`cancel` ends a block, and returns once that is confirmed."""
        block = start(provider, make_request())
        assert state_of(provider, block) is BlockState.RUNNING
        assert provider.cancel([block]) == {}
        assert is_over(provider, block)

    def test_submit_returns_at_once(
        self, provider: Provider, make_request: MakeRequest, image: str, unknown_block: NativeId, submit_limit: float
    ) -> None:
        """`submit` of three blocks returns within a limit that grows with the time the system takes to answer."""
        provider.prepare(Image.of(image))  # pulls and probes, which may take minutes
        asked = time.monotonic()
        provider.status([unknown_block])
        submitted = time.monotonic()
        answers = provider.submit([make_request(str(number)) for number in range(3)])
        seconds = time.monotonic() - submitted
        provider.cancel([answer for answer in answers.values() if not isinstance(answer, Refused)])
        assert seconds < submit_limit + 10 * (submitted - asked)

    def test_a_batch_is_answered_by_block(
        self, provider: Provider, make_request: MakeRequest, unknown_block: NativeId, wait_until: WaitUntil
    ) -> None:
        """`submit` starts each request of a batch, `status` and `cancel` take them together."""
        requests = [make_request(str(number)) for number in range(3)]
        answers = provider.submit(requests)
        natives = [answer for answer in answers.values() if not isinstance(answer, Refused)]
        try:
            assert set(answers) == {request.block for request in requests}
            assert len(set(natives)) == len(requests), answers
            assert set(provider.status([*natives, unknown_block])) <= {*natives, unknown_block}
        finally:
            assert provider.cancel(natives) == {}
        wait_until(lambda: all(is_over(provider, native) for native in natives))

    def test_an_empty_batch_has_no_answers(self, provider: Provider) -> None:
        """All calls that take several blocks take none."""
        assert provider.submit([]) == {}
        assert provider.status([]) == {}
        assert provider.cancel([]) == {}

    def test_a_block_that_fails_is_reported_with_exit_code_cause_and_words(
        self,
        provider: Provider,
        make_request: MakeRequest,
        start: Start,
        failing_command: NodeCommand,
        wait_until: WaitUntil,
    ) -> None:
        """`status` reports the end of a block that was not cancelled."""
        block = start(provider, make_request(command=failing_command))
        wait_until(lambda: is_over(provider, block))
        status = provider.status([block])[block]
        assert status.state is BlockState.FAILED
        assert status.exit_code == 3
        assert status.cause is not None
        assert status.message

    def test_a_watch_reports_the_end_of_a_block(
        self, provider: Provider, make_request: MakeRequest, start: Start, failing_command: NodeCommand, patience: float
    ) -> None:
        """`watch` calls back after a block's end, and can be stopped."""
        changed = threading.Event()
        stop = provider.watch(changed.set)
        if stop is None:
            pytest.skip("the system has no watch")
        start(provider, make_request(command=failing_command))
        assert changed.wait(patience)
        stop()

    def test_a_block_that_ignores_the_order_to_end_is_killed(
        self, provider: Provider, make_request: MakeRequest, start: Start, stubborn_command: NodeCommand
    ) -> None:
        """`cancel` does not depend on the block's help."""
        block = start(provider, make_request(command=stubborn_command))
        assert provider.cancel([block]) == {}
        assert is_over(provider, block)

    def test_a_block_may_be_cancelled_twice(self, provider: Provider, make_request: MakeRequest, start: Start) -> None:
        """`cancel` of a block that is gone is no error."""
        block = start(provider, make_request())
        assert provider.cancel([block]) == {}
        assert provider.cancel([block]) == {}

    def test_an_unknown_block_is_gone(self, provider: Provider, unknown_block: NativeId) -> None:
        """`status` reports ``GONE`` for a block that the system does not have."""
        assert provider.status([unknown_block])[unknown_block].state is BlockState.GONE

    def test_an_unknown_block_may_be_cancelled(self, provider: Provider, unknown_block: NativeId) -> None:
        """`cancel` of a block that never was is no error."""
        assert provider.cancel([unknown_block]) == {}

    # Several providers, as after a crash

    def test_a_new_provider_finds_the_blocks_of_the_one_before(
        self, make_provider: MakeProvider, make_request: MakeRequest, start: Start, wait_until: WaitUntil
    ) -> None:
        """`find` needs no memory of `submit`, and keeps runs and executors apart."""
        first, request = make_provider({}), make_request("7")
        block = start(first, request)
        new = make_provider({})
        wait_until(lambda: request.block in new.find(request.run, request.executor))
        assert new.find(request.run, request.executor) == {request.block: block}
        assert new.find(request.run, "other") == {}
        assert new.find(RunId("test-other"), request.executor) == {}
        assert first.cancel([block]) == {}
        assert new.find(request.run, request.executor) == {}
        first.close()
        new.close()

    def test_blocks_that_ended_are_not_found(
        self,
        make_provider: MakeProvider,
        make_request: MakeRequest,
        start: Start,
        failing_command: NodeCommand,
        wait_until: WaitUntil,
    ) -> None:
        """`find` lists no block that has ended, whether `cancel` was called or not."""
        first, request = make_provider({}), make_request(command=failing_command)
        block = start(first, request)
        wait_until(lambda: is_over(first, block))
        new = make_provider({})
        wait_until(lambda: new.find(request.run, request.executor) == {})
        new.close()
        first.close()

    def test_a_new_provider_can_end_the_blocks_of_the_one_before(
        self, make_provider: MakeProvider, make_request: MakeRequest, start: Start, wait_until: WaitUntil
    ) -> None:
        """`status` and `cancel` work on blocks that another provider submitted."""
        first = make_provider({})
        block = start(first, make_request())
        new = make_provider({})
        assert state_of(new, block) is BlockState.RUNNING
        assert new.cancel([block]) == {}
        wait_until(lambda: is_over(new, block))
        new.close()
        first.close()

    def test_closing_a_provider_leaves_its_blocks(
        self, make_provider: MakeProvider, make_request: MakeRequest, start: Start
    ) -> None:
        """`close` ends no block."""
        first, second = make_provider({}), make_provider({})
        block = start(first, make_request())
        first.close()
        assert state_of(second, block) is BlockState.RUNNING
        assert second.cancel([block]) == {}
        second.close()
        first.cancel([block])


def submit_one(provider: Provider, request: BlockRequest) -> NativeId:
    """Submit one request, and return the native id.

    Raises:
        AssertionError: the request was refused.
    """
    answer = provider.submit([request])[request.block]
    assert not isinstance(answer, Refused), answer.words
    return answer


def assert_refused(provider: Provider, request: BlockRequest) -> None:
    """Submit a request that the provider cannot fulfil.

    Raises:
        AssertionError: the answer is not `Refusal.FOR_GOOD` with a reason, or a block was started.
    """
    answer = provider.submit([request])[request.block]
    if not isinstance(answer, Refused):
        provider.cancel([answer])
    assert isinstance(answer, Refused)
    assert answer.kind is Refusal.FOR_GOOD
    assert answer.words
    assert provider.find(request.run, request.executor) == {}


def state_of(provider: Provider, block: NativeId) -> BlockState | None:
    """Return the state of *block*; None if it is not reported."""
    status = provider.status([block]).get(block)
    return None if status is None else status.state


def is_over(provider: Provider, block: NativeId) -> bool:
    """Return True if *block* will never run again."""
    state = state_of(provider, block)
    return state is not None and state.is_final
