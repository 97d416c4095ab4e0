"""Judgement of a Deployment without a manager."""

import pytest

from cnflow.worker_pool.deployments.missing_workers import CRASHES, MissingWorkers
from cnflow.worker_pool.deployments.pods import pods_of, refusal_of
from cnflow.worker_pool.deployments.scaling import Pod

NOT_FOUND = "ErrImagePull", "failed to resolve: no-such/image:1: not found"


def pod(name, reason="", words=""):
    return Pod(name, is_ending=False, state="pending", message=f"{reason}: {words}".strip(": "), reason=reason)


def judge(missing, now, *pods, replicas=1, tasks=1):
    news = missing.judge(pods, replicas, tasks, now)
    return news.reason, news.is_final


@pytest.fixture
def missing():
    return MissingWorkers("demo", scales=True)


def test_image_that_does_not_exist_is_final_once_it_was_seen_for_a_while(missing):
    reason = "pod a: ErrImagePull: failed to resolve: no-such/image:1: not found"
    assert judge(missing, 0.0, pod("a", *NOT_FOUND)) == (reason, False)
    back_off = "ImagePullBackOff", "Back-off pulling image: not found"
    assert judge(missing, 3.0, pod("a", *back_off))[1] is False
    assert judge(missing, 5.0, pod("a", *NOT_FOUND)) == (reason, True)


def test_one_pod_that_may_still_start_keeps_the_others_from_being_final(missing):
    judge(missing, 0.0, pod("a", *NOT_FOUND))
    reason, is_final = judge(missing, 60.0, pod("a", *NOT_FOUND), pod("b"))
    assert reason.startswith("pod a (1 of 2 pods wait): ErrImagePull")
    assert not is_final


def test_pod_that_fits_no_node_now_is_never_final(missing):
    full = pod("a", "Unschedulable", "0/2 nodes are available: 2 Insufficient cpu.")
    judge(missing, 0.0, full)
    assert judge(missing, 1e6, full) == ("pod a: Unschedulable: 0/2 nodes are available: 2 Insufficient cpu.", False)


def test_crashes_are_final_after_the_longest_pause_of_a_kubelet(missing):
    crash = pod("a", "CrashLoopBackOff", "back-off 5m0s restarting failed container")
    assert not judge(missing, 0.0, crash)[1]
    assert not judge(missing, CRASHES - 1, crash)[1]
    assert not judge(missing, CRASHES, pod("a"))[1]  # it runs for a moment
    assert judge(missing, CRASHES + 1, crash)[1]


def test_crashes_count_from_the_last_manager_on(missing):
    crash = pod("a", "CrashLoopBackOff", "back-off 5m0s restarting failed container")
    judge(missing, 0.0, crash)
    missing.on_manager()
    assert not judge(missing, CRASHES, crash)[1]


def test_pods_that_cannot_be_made_are_final_unless_a_quota_may_get_room(missing):
    missing.refusal = 'pods "a" is forbidden: violates PodSecurity "restricted:latest"'
    judge(missing, 0.0)
    assert judge(missing, 5.0) == (f"no pod of Deployment demo can be made: {missing.refusal}", True)
    missing.refusal = 'pods "a" is forbidden: exceeded quota: small'
    judge(missing, 6.0)
    assert judge(missing, 1e6) == (f"no pod of Deployment demo can be made: {missing.refusal}", False)
    assert judge(missing, 1e6, replicas=0) == ("", False)


def test_deployment_that_another_hand_keeps_at_zero_is_named_while_tasks_wait():
    missing = MissingWorkers("demo", scales=False)
    assert judge(missing, 0.0, replicas=0, tasks=0) == ("", False)
    assert "is to have 0 pods" in judge(missing, 0.0, replicas=0)[0]


def test_deployment_that_cannot_be_scaled_is_named(missing):
    missing.outage = "no answer"
    assert judge(missing, 0.0) == ("Deployment demo cannot be scaled: no answer", False)


def test_reason_of_a_pod_is_read_apart_from_its_words():
    waiting = {"reason": NOT_FOUND[0], "message": NOT_FOUND[1]}
    made = {
        "metadata": {"name": "a", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "status": {"phase": "Pending", "containerStatuses": [{"state": {"waiting": waiting}}]},
    }
    (read,) = pods_of([made])
    assert (read.reason, read.message) == (NOT_FOUND[0], ": ".join(NOT_FOUND))
    failed = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    assert refusal_of({"status": {"conditions": [failed]}}) == "exceeded quota"
    assert refusal_of({"status": {"conditions": [{**failed, "status": "False"}]}}) == ""
