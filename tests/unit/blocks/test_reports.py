import re
from random import Random

from cnflow.blocks.backoff import Backoff
from cnflow.blocks.block import Block, Stage
from cnflow.blocks.report import Held, report_of
from cnflow.blocks.state import Blocks
from cnflow.blocks.strategy import STRATEGIES, Limits
from cnflow.model.block import BlockState


def report(wait=0.0, failed="", *, silent=False, untried=None, **block):
    return report_of(Block("3", requested_at=10.0, **block), 25.0, Held(silent, untried, wait, failed))


def test_a_pending_block_says_what_its_provider_says():
    told = report(stage=Stage.PENDING, native="4711", said="Resources\nmore")
    assert (told.block, told.native, told.state, told.age, told.message) == ("3", "4711", "pending", 15.0, "Resources")


def test_a_block_that_is_asked_for_later_says_when_and_why():
    assert report(wait=4.2, failed="exited with code 1").message == "backs off, asked for in 4 s: exited with code 1"
    assert report(wait=4.2, failed="older", said="quota").message == "backs off, asked for in 4 s: quota"
    assert report(wait=4.2, failed="a", untried="2").message == "backs off until block 2 works. a"
    assert report(wait=4.2, failed="The last lines of its log:\n    a\n    b").message.endswith("of its log: b")
    assert report(silent=True).message == "waits until its provider answers again."
    assert report(wait=-1.0, failed="exited with code 1").message == ""


def test_a_block_that_runs_without_a_manager_says_so():
    assert report(stage=Stage.RUNNING).message == "no manager has connected yet"
    assert report(stage=Stage.RUNNING, connected_at=12.0).message == "no manager is connected"
    assert report(stage=Stage.RUNNING, connected_at=12.0, managers=1, slots=4).message == ""


def test_a_fleet_that_backs_off_says_so_of_the_block_that_is_to_come():
    def submitted(now):
        block = fleet.next_submission(now)
        fleet.accepted(block, f"native-{block}")
        return block

    limits = Limits(0, 0, 2, 1, 1.0, 120.0)
    fleet = Blocks(
        "htex", limits, STRATEGIES["simple"], slots_per_node=1, health=Backoff(Random(1)), startup_timeout=300.0
    )
    fleet.decide(2, 1, 0.0)
    first, second = submitted(0.0), submitted(0.0)
    fleet.alive(second, BlockState.PENDING, 1.0, "Resources")
    fleet.ended(first, BlockState.FAILED, "It says: no module cnflow", 1.0)
    fleet.decide(2, 1, 1.0)
    waiting, to_come = fleet.reports(1.0)
    assert (waiting.state, waiting.age, waiting.message) == ("pending", 1.0, "Resources")
    assert (to_come.state, to_come.age) == ("requested", 0.0)
    assert to_come.message.startswith(f"backs off until block {second} works. Block {first} ")
    fleet.ended(second, BlockState.FAILED, "It says: no space left", 2.0)
    fleet.decide(2, 1, 2.0)
    assert re.match(r"backs off, asked for in [012] s: .*no space left", fleet.reports(2.0)[0].message)
    assert fleet.reports(100.0)[0].message == ""
