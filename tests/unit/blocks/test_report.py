import re
from random import Random

from cnflow.blocks.backoff import Backoff
from cnflow.blocks.block import Block, Patience, Stage
from cnflow.blocks.callbacks import Demand
from cnflow.blocks.report import Delay, no_block_works, report_of
from cnflow.blocks.state import Blocks
from cnflow.blocks.strategy import STRATEGIES, Limits
from cnflow.model.block import BlockState, BlockStatus


def report(wait=0.0, failed="", *, silent=False, untried=None, **block):
    return report_of(Block("3", requested_at=10.0, **block), 25.0, Delay(silent, untried, wait, failed))


def test_a_pending_block_has_its_providers_message():
    shown = report(stage=Stage.PENDING, native="4711", message="Resources\nmore")
    assert (shown.block, shown.native, shown.state, shown.age, shown.message) == (
        "3",
        "4711",
        "pending",
        15.0,
        "Resources",
    )


def test_a_delayed_block_is_reported_with_time_and_reason():
    assert report(wait=4.2, failed="exited with code 1").message == "backs off, asked for in 4 s: exited with code 1"
    assert report(wait=4.2, failed="older", message="quota").message == "backs off, asked for in 4 s: quota"
    assert report(wait=4.2, failed="a", untried="2").message == "backs off until block 2 works. a"
    assert report(wait=4.2, failed="The last lines of its log:\n    a\n    b").message.endswith("of its log: b")
    assert report(silent=True).message == "waits until its provider answers again."
    assert report(wait=-1.0, failed="exited with code 1").message == ""


def ended(block, words, native="cnflow-3fa1-htex"):
    return f"Block {block} ({native}-{block}) of executor 'htex' ended. {words.format(native=f'{native}-{block}')}"


def test_failures_for_the_same_reason_are_told_once_with_their_number():
    failures = [ended(block, "Pod {native}-x: Unschedulable: 0/2 nodes\nAsk for less.") for block in range(3)]
    assert no_block_works(failures, 5) == (
        "Block 2 (cnflow-3fa1-htex-2) of executor 'htex' ended. Pod cnflow-3fa1-htex-2-x: Unschedulable: 0/2 nodes\n"
        "Ask for less.\n5 blocks failed one after the other, for the same reason."
    )
    assert no_block_works(["quota", "quota"], 2) == "quota\n2 blocks failed one after the other, for the same reason."


def test_failures_for_several_reasons_are_told_once_each_the_last_one_first():
    failures = [
        ended(0, "It exited with code 1."),
        ended(1, "It exited with code 137."),
        ended(2, "It exited with code 1."),
    ]
    assert no_block_works(failures, 3) == (
        f"{failures[2]}\n3 blocks failed one after the other. Before that: {failures[1]}"
    )
    assert no_block_works(["a", "b", "c"], 3) == (
        "c\n3 blocks failed one after the other. Before that: b\nBefore that: a"
    )
    assert no_block_works(["a"], 1) == "a"


def test_a_block_that_runs_without_a_manager_is_reported_so():
    assert report(stage=Stage.RUNNING).message == "no manager has connected yet"
    assert report(stage=Stage.RUNNING, connected_at=12.0).message == "no manager is connected"
    assert report(stage=Stage.RUNNING, connected_at=12.0, managers=1, slots=4).message == ""


def test_a_backoff_is_the_message_of_the_next_block():
    def submit(now):
        batch = blocks.submissions.take_batch(now)
        blocks.submissions.on_answers({block: f"native-{block}" for block in batch}, now)
        return batch

    def fail(block, words, now):
        blocks.on_status(block, BlockStatus(BlockState.FAILED, words), now)

    limits = Limits(0, 0, 2, 1, 1.0, 120.0)
    blocks = Blocks(
        "htex", limits, STRATEGIES["simple"], slots_per_node=1, backoff=Backoff(Random(1)), patience=Patience(300.0)
    )
    blocks.decide(Demand(2, 1, 0, 2), 0.0)
    first, second = submit(0.0)
    blocks.on_status(second, BlockStatus(BlockState.RUNNING, "Resources"), 1.0)
    fail(first, "It says: no module cnflow", 1.0)
    blocks.decide(Demand(2, 1, 0, 2), 1.0)
    waiting, to_come = blocks.reports(1.0)
    assert (waiting.state, waiting.age, waiting.message) == ("running", 1.0, "Resources")
    assert (to_come.state, to_come.age) == ("requested", 0.0)
    assert to_come.message.startswith(f"backs off until block {second} works. Block {first} ")
    fail(second, "It says: no space left", 2.0)
    blocks.decide(Demand(2, 1, 0, 2), 2.0)
    assert re.match(r"backs off, asked for in [012] s: .*no space left", blocks.reports(2.0)[0].message)
    assert blocks.reports(100.0)[0].message == ""
