import pytest

from cnflow.cli.control_client import aligned, blocks_table

BLOCK = {
    "executor": "htex",
    "block": "0",
    "native": "f" * 64,
    "state": "running",
    "nodes": 2,
    "workers": 64,
    "tasks": 7,
    "age": 125.3,
    "message": "",
}


def test_blocks_are_a_table_whose_columns_are_aligned():
    pending = {
        **BLOCK,
        "block": "1",
        "native": "",
        "state": "pending",
        "tasks": None,
        "nodes": 0,
        "message": "Priority",
    }
    assert blocks_table([BLOCK, pending]).splitlines() == [
        "executor  block  provider id   state    nodes  workers  tasks        age  last message",
        "htex      0      ffffffffffff  running      2       64      7  2 min 5 s  -",
        "htex      1      -             pending      0       64      -  2 min 5 s  Priority",
    ]


def test_no_block_is_a_sentence():
    assert blocks_table([]) == "No blocks: this run has none now."


@pytest.mark.parametrize("right", [set(), {0}])
def test_a_line_has_no_blanks_at_its_end(right):
    assert not any(line.endswith(" ") for line in aligned([("a", "bbb"), ("ccc", "d")], right).splitlines())
