import pytest

from cnflow.tasks.core_lists import parse_core_list


@pytest.mark.parametrize("wrong", ["blocks", "list", "list:", "list:0::1", "list:0-", "list:a", "list:-1", "list:0,,1"])
def test_a_text_that_is_neither_rule_nor_list_is_refused(wrong):
    with pytest.raises(ValueError, match="such as 'list:0,1:2-3'"):
        parse_core_list(wrong)


def test_a_descending_range_of_cores_is_refused():
    with pytest.raises(ValueError, match="'3-1' ends before it begins"):
        parse_core_list("list:3-1")
