"""A pod that is larger than all nodes waits in vain, unless larger nodes may come."""

import pytest

from cnflow.model.block import BlockState
from cnflow.providers.kubernetes.node_room import lack_of, quantity, requests_of
from cnflow.providers.kubernetes.status import BlockObjects, Waits, judge_block
from cnflow.units import Seconds


def node(provider_id="", **allocatable):
    return {"spec": {"providerID": provider_id}, "status": {"allocatable": allocatable}}


def container(restart="", **requests):
    return {"name": "c", "resources": {"requests": requests}, **({"restartPolicy": restart} if restart else {})}


def pod(*containers, init=()):
    return {
        "metadata": {"name": "p", "uid": "u"},
        "spec": {"containers": list(containers), "initContainers": list(init)},
    }


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("500m", 0.5),
        ("2", 2),
        (3, 3),
        ("1Gi", 2**30),
        ("1G", 10**9),
        ("128974848", 128974848),
        ("1e3", 1000),
        ("1.5k", 1500),
    ],
)
def test_quantity_is_read_as_the_api_writes_it(text, number):
    assert quantity(text) == number


@pytest.mark.parametrize("text", ["", "much", "1 Gib", "-1"])
def test_text_that_is_no_quantity_is_refused(text):
    with pytest.raises(ValueError, match="no quantity"):
        quantity(text)


def test_requests_are_those_that_the_scheduler_counts():
    asked = pod(container(cpu="1"), container(cpu="500m"), init=[container(cpu="4"), container("Always", cpu="1")])
    assert requests_of(asked) == {"cpu": 4}
    assert requests_of(pod(container(cpu="3"), init=[container("Always", cpu="2")])) == {"cpu": 5}


def test_limit_without_a_request_is_one():
    only_limit = {"name": "c", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
    assert requests_of(pod(only_limit)) == {"nvidia.com/gpu": 1}


def test_pod_that_fits_a_node_lacks_nothing():
    assert lack_of(pod(container(cpu="2")), [node(cpu="1"), node(cpu="2")]) == ""


def test_pod_larger_than_all_nodes_is_told_the_largest():
    words = lack_of(pod(container(cpu="500", memory="1Gi")), [node(cpu="1", memory="8Gi"), node(cpu="2", memory="8Gi")])
    assert words == "the pod asks for 500 of cpu, and no node of the cluster has more than 2"


def test_resource_that_no_node_has_is_named():
    gpu = pod(container(**{"nvidia.com/gpu": "1"}))
    assert lack_of(gpu, [node(cpu="2")]) == "no node of the cluster has nvidia.com/gpu"


def test_pod_that_fits_no_single_node_is_told_so():
    nodes = [node(cpu="8", memory="1Gi"), node(cpu="1", memory="8Gi")]
    assert "together" in lack_of(pod(container(cpu="4", memory="4Gi")), nodes)


@pytest.mark.parametrize(
    "nodes", [[], [node("aws:///eu-1a/i-1", cpu="2")], [node(cpu="2"), node("gce://p/z/n", cpu="2")]]
)
def test_nothing_follows_where_larger_nodes_may_come(nodes):
    assert lack_of(pod(container(cpu="500")), nodes) == ""


def test_nodes_of_kind_and_k3s_do_not_grow():
    assert lack_of(pod(container(cpu="500")), [node("kind://docker/kind/kind-worker", cpu="2")])


def test_block_that_no_node_can_hold_fails_within_seconds():
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "2 Insufficient cpu"}
    waits, asked = Waits(), {**pod(container(cpu="500")), "status": {"phase": "Pending", "conditions": [condition]}}
    block = BlockObjects({"metadata": {}, "spec": {}}, (asked,), lack="no node has that")
    assert judge_block("b", block, waits, now=Seconds(0.0), wall=0.0).status.state is BlockState.PENDING
    status = judge_block("b", block, waits, now=Seconds(5.0), wall=0.0).status
    assert status.state is BlockState.FAILED
    assert "Unschedulable: 2 Insufficient cpu\nNo node has that.\nAsk for less" in status.message
    assert status.is_for_good, "three of them would wait in vain, too"
