import pytest

from cnflow.manager.node.pinning import PinningError, accelerator_variables, assign_cores, core_variables


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
def test_cores_are_assigned_by_the_users_rule(affinity, expected):
    assert assign_cores(affinity, 2, [0, 1, 2, 3, 4]) == expected


def test_only_cores_that_the_manager_may_use_are_assigned():
    assert assign_cores("block", 2, [5, 7, 8, 9]) == [[5, 7], [8, 9]]


@pytest.mark.parametrize("affinity", ["block", "block-reverse", "alternating"])
def test_more_workers_than_cores_are_refused_with_advice(affinity):
    with pytest.raises(PinningError, match=r"3 workers on 2 cores\. Set max_workers=2"):
        assign_cores(affinity, 3, [0, 1])


def test_a_list_for_too_few_workers_is_refused_with_advice():
    with pytest.raises(PinningError, match=r"cores of 1 workers, and the node has 2\. Set max_workers=1"):
        assign_cores("list:0,1", 2, [0, 1])


def test_a_list_with_cores_of_another_node_is_refused():
    with pytest.raises(PinningError, match=r"may not use: 6, 7\. It may use 0, 1$"):
        assign_cores("list:0,6-7:1", 2, [0, 1])


def test_openmp_is_bound_to_the_cores():
    assert core_variables([]) == {}
    assert core_variables([2, 3]) == {
        "OMP_NUM_THREADS": "2",
        "GOMP_CPU_AFFINITY": "2,3",
        "KMP_AFFINITY": "explicit,proclist=[2,3]",
    }


def cuda(names, devices, workers=None):
    workers = workers or len(names)
    return [accelerator_variables([rank], names, workers, devices)["CUDA_VISIBLE_DEVICES"] for rank in range(workers)]


def test_a_node_without_accelerators_sets_no_variable():
    assert accelerator_variables((), (), 2, 4) == {}


def test_an_accelerator_is_shown_to_the_libraries_of_all_vendors():
    assert accelerator_variables([1], ("0,1", "2,3"), 2, 4) == {
        "CUDA_VISIBLE_DEVICES": "2,3",
        "ROCR_VISIBLE_DEVICES": "2,3",
        "ZE_AFFINITY_MASK": "2,3",
        "ZE_ENABLE_PCI_ID_DEVICE_ORDER": "1",
    }


def test_neighbouring_workers_share_cuda_devices_that_are_too_few():
    assert cuda(["0", "1", "2", "3"], devices=2) == ["0", "0", "1", "1"]
    assert cuda(["0", "1", "2"], devices=2) == ["0", "0", "1"]
    shown = accelerator_variables([3], ("0", "1", "2", "3"), 4, 2)
    assert (shown["ROCR_VISIBLE_DEVICES"], shown["ZE_AFFINITY_MASK"]) == ("3", "3")


def test_names_of_existing_cuda_devices_are_not_changed():
    assert cuda(["0", "0", "1", "1"], devices=2) == ["0", "0", "1", "1"]
    assert cuda(["2", "3"], devices=4) == ["2", "3"]
    assert cuda(["0", "1", "2", "3"], devices=2, workers=2) == ["0", "1"]
    assert cuda(["GPU-a", "GPU-b"], devices=1) == ["GPU-a", "GPU-b"]


def test_names_are_not_changed_if_the_number_of_cuda_devices_is_unknown():
    assert cuda(["0", "1", "2"], devices=0) == ["0", "1", "2"]


def test_a_worker_sees_all_accelerators_of_its_task_or_none():
    assert accelerator_variables([0, 2], ("a", "b", "c"), 3, 0)["CUDA_VISIBLE_DEVICES"] == "a,c"
    assert accelerator_variables([1, 3], ("0", "1", "2", "3"), 2, 4)["CUDA_VISIBLE_DEVICES"] == "1,3"
    assert accelerator_variables([], ("0", "1"), 2, 2)["CUDA_VISIBLE_DEVICES"] == ""
