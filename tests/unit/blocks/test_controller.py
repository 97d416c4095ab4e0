"""The controller's thread, on a provider and an interchange that live in the test."""

import threading
from pathlib import Path

import pytest

from cnflow.blocks import BlockController, Callbacks, Scaling
from cnflow.config import LocalProvider
from cnflow.errors import BlockError, ImageNotFoundError
from cnflow.ids import RunId
from cnflow.model.block import BlockRequest, BlockState, BlockStatus
from cnflow.model.manager_settings import ManagerSettings


class Provider:
    """Runs nothing; says of each block what the test wants."""

    runs_images = False

    def __init__(self, poll_period):
        self.poll_period = poll_period
        self.blocks = {}
        self.calls = []
        self.is_silent = False
        self.refuses = None
        self.is_deaf = False
        self.changed = threading.Condition()

    def submit(self, request):
        with self.changed:
            if self.refuses:
                raise self.refuses
            self.calls.append(("submit", request.block))
            self.blocks[f"native-{request.block}"] = BlockState.RUNNING
            self.changed.notify_all()
        return f"native-{request.block}"

    def status(self, blocks):
        with self.changed:
            self.calls.append(("status",))
            self.changed.notify_all()
            if self.is_silent:
                raise BlockError("squeue: Socket timed out")
            return {native: BlockStatus(self.blocks.get(native, BlockState.GONE)) for native in blocks}

    def cancel(self, blocks):
        with self.changed:
            self.calls += [("cancel", native) for native in blocks]
            self.changed.notify_all()
            if self.is_deaf:
                raise BlockError("it does not answer")
            for native in blocks:
                self.blocks.pop(native, None)
            self.changed.notify_all()

    def wait_for(self, condition):
        with self.changed:
            assert self.changed.wait_for(condition, 20)


class Setting:
    """A controller that runs, with what is around it."""

    def __init__(self, folder, poll_period=600.0, max_idletime=120.0, **blocks):
        self.provider = Provider(poll_period)
        self.tasks = 0
        self.submits = 0
        self.told = []
        self.errors = []
        self.controller = BlockController(
            "htex",
            self.provider,
            LocalProvider(**{"init_blocks": 0, "max_blocks": 4, **blocks}),
            Scaling("simple", max_idletime),
            1,
            Callbacks(
                demand=lambda: (self.tasks, self.submits),
                request=lambda block: BlockRequest(
                    RunId("r"),
                    "htex",
                    block,
                    "",
                    ManagerSettings(hosts=(), endpoint="ipc://x", executor="htex", block=block),
                    Path(folder) / f"{block}.log",
                ),
                drain=self.drain,
                gone=lambda block, reason: self.told.append(("gone", block, reason)),
                ask_idle=lambda: self.told.append(("ask",)),
                give_up=self.give_up,
            ),
        )
        self.thread = threading.Thread(target=self.controller.run)

    def drain(self, block):
        self.provider.calls.append(("drain", block))
        self.controller.drained(block)

    def give_up(self, error):
        with self.provider.changed:
            self.errors.append(error)
            self.provider.changed.notify_all()

    def want(self, tasks):
        self.tasks = tasks
        self.submits += 1
        if tasks > self.controller.enough_for:
            self.controller.wake()

    def names(self, what):
        return [call[1] for call in self.provider.calls if call[0] == what]


@pytest.fixture
def setting(tmp_path):
    made = []

    def make(**options):
        made.append(Setting(tmp_path, **options))
        made[0].thread.start()
        return made[0]

    yield make
    made[0].controller.stop()
    made[0].thread.join(20)
    assert not made[0].thread.is_alive()
    assert made[0].provider.blocks == {}, "a block was left behind"


def test_a_burst_is_heard_at_once_however_seldom_the_provider_is_looked_at(setting):
    this = setting()
    for tasks in range(1, 30):
        this.want(tasks)
    this.provider.wait_for(lambda: this.names("submit") == ["0", "1", "2", "3"])
    assert this.controller.living <= 4


def test_init_blocks_are_started_without_a_task(setting):
    this = setting(init_blocks=2)
    this.provider.wait_for(lambda: this.names("submit") == ["0", "1"])


def test_a_block_is_drained_before_it_is_cancelled(setting):
    this = setting(poll_period=0.01, max_idletime=0.05)
    this.want(1)
    this.provider.wait_for(lambda: this.names("submit") == ["0"])
    this.controller.connected("0", 1)
    this.want(0)
    this.provider.wait_for(lambda: this.names("cancel") == ["native-0"])
    assert this.provider.calls.index(("drain", "0")) < this.provider.calls.index(("cancel", "native-0"))
    assert [told for told in this.told if told[0] == "gone"] == []


def test_a_provider_that_does_not_answer_is_asked_for_nothing_more(setting):
    this = setting(poll_period=0.01)
    this.want(1)
    this.provider.wait_for(lambda: this.names("submit") == ["0"])
    this.controller.connected("0", 1)
    this.provider.is_silent = True
    looks = this.provider.calls.count(("status",))
    this.provider.wait_for(lambda: this.provider.calls.count(("status",)) > looks + 1)
    this.want(4)
    looks = this.provider.calls.count(("status",))
    this.provider.wait_for(lambda: this.provider.calls.count(("status",)) > looks + 3)
    assert this.names("submit") == ["0"]
    this.provider.is_silent = False
    this.provider.wait_for(lambda: this.names("submit") == ["0", "1", "2", "3"])


def test_what_is_refused_for_good_is_given_up_with_the_providers_own_error(setting):
    this = setting()
    this.provider.refuses = ImageNotFoundError("no such image")
    this.want(1)
    this.provider.wait_for(lambda: this.errors != [])
    assert this.errors == [this.provider.refuses]


def test_a_block_that_ends_is_told_of_with_the_end_of_its_log(setting, tmp_path):
    this = setting(poll_period=0.01)
    (tmp_path / "0.log").write_text("out of licences\n")
    this.want(1)
    this.provider.wait_for(lambda: this.names("submit") == ["0"])
    this.provider.blocks["native-0"] = BlockState.ENDED
    this.provider.wait_for(lambda: this.names("submit") == ["0", "1"])
    ((_, block, reason),) = this.told
    assert block == "0"
    assert "out of licences" in reason


def test_a_block_that_could_not_be_removed_is_removed_later(setting):
    this = setting(poll_period=0.01)
    this.want(1)
    this.provider.wait_for(lambda: this.names("submit") == ["0"])
    this.controller.connected("0", 1)
    this.provider.is_deaf = True
    this.provider.blocks["native-0"] = BlockState.ENDED
    this.provider.wait_for(lambda: this.names("cancel").count("native-0") > 2)
    assert this.errors == []
    assert "native-0" in this.provider.blocks
    this.provider.is_deaf = False
    this.provider.wait_for(lambda: "native-0" not in this.provider.blocks)
    this.provider.wait_for(lambda: this.names("submit") == ["0", "1"])
