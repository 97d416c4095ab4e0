import pytest

from cnflow.cli.control_client import blocks_table
from cnflow.text import align_columns

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


def test_blocks_table_has_aligned_columns():
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


def test_blocks_table_without_blocks_is_a_sentence():
    assert blocks_table([]) == "This run has no blocks now."


@pytest.mark.parametrize("right", [set(), {0}])
def test_lines_have_no_trailing_blanks(right):
    assert not any(line.endswith(" ") for line in align_columns([("a", "bbb"), ("ccc", "d")], right).splitlines())
