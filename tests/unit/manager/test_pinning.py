import pytest

from cnflow.manager.node.pinning import PinningError, accelerator_variables, core_variables, cores_of_each
from cnflow.tasks.core_lists import listed_cores


@pytest.mark.parametrize(
    ("affinity", "expected"),
    [
        ("none", []),
        ("block", [[0, 1], [2, 3]]),
        ("block-reverse", [[2, 3], [0, 1]]),
        ("alternating", [[0, 2, 4], [1, 3]]),
        ("list:4:0-2,3", [[4], [0, 1, 2, 3]]),
    ],
)
def test_cores_are_shared_out_as_the_user_says(affinity, expected):
    assert cores_of_each(affinity, 2, [0, 1, 2, 3, 4]) == expected


def test_cores_are_those_that_the_node_gives_not_the_first_ones():
    assert cores_of_each("block", 2, [5, 7, 8, 9]) == [[5, 7], [8, 9]]


@pytest.mark.parametrize("affinity", ["block", "block-reverse", "alternating"])
def test_more_workers_than_cores_are_refused_with_what_to_set(affinity):
    with pytest.raises(PinningError, match=r"3 workers on 2 cores\. Set max_workers=2"):
        cores_of_each(affinity, 3, [0, 1])


def test_a_list_of_too_few_workers_is_refused_with_what_to_set():
    with pytest.raises(PinningError, match=r"cores of 1 workers, and the node has 2\. Set max_workers=1"):
        cores_of_each("list:0,1", 2, [0, 1])


def test_a_list_with_cores_of_another_node_is_refused():
    with pytest.raises(PinningError, match=r"may not use: 6, 7\. It has 0, 1$"):
        cores_of_each("list:0,6-7:1", 2, [0, 1])


@pytest.mark.parametrize("wrong", ["blocks", "list", "list:", "list:0::1", "list:0-", "list:a", "list:-1", "list:0,,1"])
def test_what_is_no_choice_and_no_list_is_refused(wrong):
    with pytest.raises(ValueError, match="such as 'list:0,1:2-3'"):
        listed_cores(wrong)


def test_a_run_of_cores_that_goes_backwards_is_refused():
    with pytest.raises(ValueError, match="'3-1' end before they begin"):
        listed_cores("list:3-1")


def test_openmp_is_told_the_cores():
    assert core_variables([]) == {}
    assert core_variables([2, 3]) == {
        "OMP_NUM_THREADS": "2",
        "GOMP_CPU_AFFINITY": "2,3",
        "KMP_AFFINITY": "explicit,proclist=[2,3]",
    }


def cuda(names, devices, workers=None):
    workers = workers or len(names)
    return [accelerator_variables([rank], names, workers, devices)["CUDA_VISIBLE_DEVICES"] for rank in range(workers)]


def test_without_accelerators_nothing_is_said():
    assert accelerator_variables((), (), 2, 4) == {}


def test_each_worker_is_shown_its_accelerator_to_all_makers_libraries():
    assert accelerator_variables([1], ("0,1", "2,3"), 2, 4) == {
        "CUDA_VISIBLE_DEVICES": "2,3",
        "ROCR_VISIBLE_DEVICES": "2,3",
        "ZE_AFFINITY_MASK": "2,3",
        "ZE_ENABLE_PCI_ID_DEVICE_ORDER": "1",
    }


def test_more_numbers_than_cuda_devices_share_them_neighbours_together():
    assert cuda(["0", "1", "2", "3"], devices=2) == ["0", "0", "1", "1"]
    assert cuda(["0", "1", "2"], devices=2) == ["0", "0", "1"]
    shown = accelerator_variables([3], ("0", "1", "2", "3"), 4, 2)
    assert (shown["ROCR_VISIBLE_DEVICES"], shown["ZE_AFFINITY_MASK"]) == ("3", "3")


def test_devices_that_are_there_are_shown_as_they_are_named():
    assert cuda(["0", "0", "1", "1"], devices=2) == ["0", "0", "1", "1"]
    assert cuda(["2", "3"], devices=4) == ["2", "3"]
    assert cuda(["0", "1", "2", "3"], devices=2, workers=2) == ["0", "1"]
    assert cuda(["GPU-a", "GPU-b"], devices=1) == ["GPU-a", "GPU-b"]


def test_where_nobody_knows_how_many_there_are_the_names_stand():
    assert cuda(["0", "1", "2"], devices=0) == ["0", "1", "2"]


def test_a_task_with_several_sees_them_all_and_one_with_none_sees_none():
    assert accelerator_variables([0, 2], ("a", "b", "c"), 3, 0)["CUDA_VISIBLE_DEVICES"] == "a,c"
    assert accelerator_variables([1, 3], ("0", "1", "2", "3"), 2, 4)["CUDA_VISIBLE_DEVICES"] == "1,3"
    assert accelerator_variables([], ("0", "1"), 2, 2)["CUDA_VISIBLE_DEVICES"] == ""
