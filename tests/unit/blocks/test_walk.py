"""Walks of a controller through a system that loses answers, lists late, preempts, hangs or is silent at any time."""

import logging

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, example, given, settings

from cnflow.errors import BlockRejectedError
from cnflow.model.block import BlockState, BlockStatus, EndCause, Refusal, Refused

MOST = 3
NUMBER = st.integers(0, 9)
STEPS = st.one_of(
    st.tuples(st.just("turn"), st.sampled_from([0.0, 1.0, 10.0, 60.0, 200.0])),
    st.tuples(st.just("turn"), st.just(10.0)),
    st.tuples(st.just("want"), st.integers(0, 5)),
    st.tuples(st.just("answers"), st.sampled_from(["come", "come", "lost", "late"])),
    st.tuples(st.just("lists_after"), st.sampled_from([0.0, 15.0, 1e9])),
    st.tuples(st.sampled_from(["is_silent", "is_deaf", "is_unlistable"]), st.booleans()),
    st.tuples(st.sampled_from(["hold", "release"]), st.sampled_from(["submit", "query", "cancel", "logs"])),
    st.tuples(st.sampled_from(["start_late", "connect", "connect", "leave", "end", "preempt", "vanish"]), NUMBER),
    st.tuples(st.sampled_from(["put_back", "run_again"]), NUMBER),
)


class Walk:
    """A controller, the managers of its blocks, and the submissions that are still on their way."""

    def __init__(self, setting):
        self.it = setting
        self.managers = {}
        self.on_their_way = []
        self.answers = "come"
        self.adopted = set()
        self.submit = setting.provider.submit
        setting.provider.submit = self.delay

    def delay(self, requests):
        if self.answers != "late":
            return self.submit(requests)
        self.on_their_way += requests
        return {request.block: Refused(Refusal.UNKNOWN, "timed out") for request in requests}

    def step(self, what, value):
        system = self.it.system
        living = [native for native, block in system.blocks.items() if not block.status.state.is_final]
        native = living[value % len(living)] if living and isinstance(value, int) else None
        match what:
            case "turn":
                self.it.turn(after=value)
            case "want":
                self.it.want(value)
            case "answers":
                self.answers, system.loses_answers = value, value == "lost"
            case "start_late":
                self.start_late()
            case "hold":
                self.it.lanes[value].is_held = True
            case "release":
                self.it.lanes[value].release()
            case "lists_after" | "is_silent" | "is_deaf" | "is_unlistable":
                setattr(system, what, value)
            case _ if native is not None:
                getattr(self, what)(native, system.blocks[native].request.block)

    def start_late(self):
        for request in self.on_their_way[:1]:
            self.on_their_way.remove(request)
            self.it.system.add(request)

    def connect(self, native, block):
        if block not in {report.block for report in self.it.controller.reports()}:
            self.adopted.add(block)
        self.managers[block] = self.managers.get(block, 0) + 1
        self.it.controller.on_manager_connected(block, 1, self.managers[block] - 1, native)

    def check_nodes(self, nodes):
        """Nodes that are gone are those of blocks which still count, and no more than these have."""
        blocks = self.it.controller._blocks
        assert blocks.nodes._counted.keys() <= set(blocks._blocks.active)
        assert blocks.nodes.gone == sum(blocks.nodes._counted.values())
        assert all(0 <= gone <= nodes for gone in blocks.nodes._counted.values())
        for block, known in blocks.nodes._blocks.items():
            assert known.connected == blocks._blocks.get(block).managers

    def leave(self, native, block):
        if self.managers.get(block):
            self.managers[block] -= 1
            self.it.controller.on_manager_lost(block, 1)

    def end(self, native, block):
        self.it.system.end(native, BlockState.FAILED, message="words")

    def preempt(self, native, block):
        self.it.system.end(native, BlockState.FAILED, cause=EndCause.PREEMPTED)

    def put_back(self, native, block):
        """Its system puts the job back into the queue, without its managers."""
        while self.managers.get(block):
            self.leave(native, block)
        self.it.system.blocks[native].status = BlockStatus(BlockState.PENDING, "requeued")

    def run_again(self, native, block):
        self.it.system.blocks[native].status = BlockStatus(BlockState.RUNNING)

    def vanish(self, native, block):
        self.it.system.end(native, BlockState.GONE)


class Warnings(logging.Handler):
    """Collects messages."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.words = ""

    def emit(self, record):
        self.words += record.getMessage() + "\n"


@pytest.fixture
def warned():
    """Collects warnings of the controller from its call on."""
    logger = logging.getLogger("cnflow.blocks")
    handlers = []

    def collect():
        for handler in handlers:
            logger.removeHandler(handler)
        handlers[:] = [Warnings()]
        logger.addHandler(handlers[0])
        return handlers[0]

    yield collect
    for handler in handlers:
        logger.removeHandler(handler)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(STEPS, min_size=5, max_size=80),
    lag=st.sampled_from([0.0, 30.0]),
    nodes=st.sampled_from([1, 1, 2, 4]),
)
@example(  # a block without an answer whose only node came and was lost is given up: its node counts no more
    steps=[
        ("want", 1),
        ("answers", "lost"),
        ("lists_after", 15.0),
        ("turn", 0.0),
        ("connect", 0),
        ("put_back", 0),
        ("turn", 10.0),
    ],
    lag=0.0,
    nodes=1,
)
def test_no_block_is_left_or_submitted_twice_whatever_the_system_does(turns, warned, steps, lag, nodes):
    options = {"max_blocks": MOST, "status_lag": lag, "max_idletime": 30.0, "startup_timeout": 100.0}
    walk = Walk(turns(nodes_per_block=nodes, **options))
    this = walk.it
    for what, value in steps:
        walk.step(what, value)
        assert len(this.controller.reports()) <= MOST + len(walk.adopted)
        walk.check_nodes(nodes)
    assert len(set(this.submitted())) == len(this.submitted())
    warnings = warned()
    begin = this.clock.now()
    this.end_run()
    assert this.clock.now() - begin <= 120, "the end of a run is bounded, whatever hangs"
    for lane in this.lanes.values():
        lane.release()
    while walk.on_their_way:
        try:
            walk.start_late()
        except BlockRejectedError as error:
            raise AssertionError("a block was submitted twice") from error
    for native, block in this.system.blocks.items():
        assert block.request.name in warnings.words or native in warnings.words, "a block is left without a word"
