"""Status of blocks from objects as a real cluster (1.37.2) has them, in the cluster's own words."""

import pytest

from cnflow.model.block import BlockState, EndCause
from cnflow.providers.kubernetes.status import BlockObjects, Waits, is_over, judge_block
from cnflow.units import Seconds

NAME = "cnflow-r-htex-0"
NOW = 1_795_679_000.0


def job_of(*conditions, pods=1, **spec):
    made = [{"type": kind, "status": "True", "reason": reason, "message": words} for kind, reason, words in conditions]
    return {
        "metadata": {"name": NAME, "uid": "job"},
        "spec": {"completions": pods, "parallelism": pods, **spec},
        "status": {"conditions": made},
    }


def pod_of(phase="Pending", main=None, *, rank=0, conditions=(), init=None, deleted="", **status):
    metadata = {"name": f"{NAME}-{rank}-x", "uid": f"pod-{rank}", "labels": {}}
    metadata["annotations"] = {"batch.kubernetes.io/job-completion-index": str(rank)}
    if deleted:
        metadata["deletionTimestamp"] = deleted
    container = {"name": "cnflow", "resources": {"limits": {"memory": "32Mi"}}}
    statuses = {"containerStatuses": [{"name": "cnflow", "state": main}]} if main else {}
    if init:
        statuses["initContainerStatuses"] = [{"name": "unpack", "state": init}]
    return {
        "metadata": metadata,
        "spec": {
            "restartPolicy": "Never",
            "hostname": f"{NAME}-{rank}",
            "nodeName": "node1",
            "containers": [container],
            "initContainers": [{"name": "unpack"}],
        },
        "status": {"phase": phase, "conditions": list(conditions), **statuses, **status},
    }


def waiting(reason, message="", **more):
    return pod_of(main={"waiting": {"reason": reason, "message": message}}, **more)


def unschedulable(message):
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod_of(conditions=[condition])


def ended(code, reason="Error", phase="Failed", message="", **more):
    return pod_of(phase, {"terminated": {"exitCode": code, "reason": reason, "message": message}}, **more)


def disrupted(reason, message=""):
    return {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}


def warning(reason, message, uid="pod-0"):
    return {"reason": reason, "message": message, "involvedObject": {"uid": uid}}


RUNNING = {"running": {"startedAt": "2026-11-26T07:47:23Z"}}
FAILED_JOB = ("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")


def judge(job, *pods, events=(), waits=None, after=0.0, is_bare=False):
    block = BlockObjects(job, pods, events, is_bare)
    waits = waits or Waits()
    judge_block(NAME, block, waits, now=Seconds(100.0), wall=NOW)
    return judge_block(NAME, block, waits, now=Seconds(100.0 + after), wall=NOW)


def status(*objects, **more):
    return judge(*objects, **more).status


def test_block_without_objects_is_gone():
    assert status(None).state is BlockState.GONE


def test_block_waits_runs_and_ends():
    assert status(job_of()).state is BlockState.PENDING
    assert status(job_of(), pod_of()).state is BlockState.PENDING
    running = status(job_of(), pod_of("Running", RUNNING))
    assert (running.state, running.hosts) == (BlockState.RUNNING, (f"{NAME}-0",))
    assert status(job_of(), ended(0, "Completed", "Succeeded")).state is BlockState.ENDED
    assert status(job_of(("Complete", "CompletionsReached", ""))).state is BlockState.ENDED


def test_end_is_seen_before_the_job_controller_has_noted_it():
    assert status(job_of(), ended(3, phase="Running")).state is BlockState.FAILED


def test_failed_block_has_exit_code_and_wants_its_last_lines():
    judged = judge(job_of(FAILED_JOB), ended(3))
    assert (judged.status.state, judged.status.exit_code, judged.status.cause) == (BlockState.FAILED, 3, EndCause.OTHER)
    assert "exited with code 3" in judged.status.message
    assert judged.log_of == (f"{NAME}-0-x", "cnflow")


def test_memory_limit_is_named():
    found = status(job_of(), ended(137, "OOMKilled"))
    assert found.cause is EndCause.OOM
    assert "used more memory than its limit of 32Mi" in found.message
    assert "max_mem=" in found.message


def test_command_that_does_not_start_is_a_fault_of_the_image():
    judged = judge(job_of(), ended(128, "StartError", message='exec: "python3": executable file not found in $PATH'))
    assert judged.status.cause is EndCause.IMAGE
    assert "executable file not found" in judged.status.message
    assert judged.log_of[1] == ""


def test_init_container_that_fails_ends_the_block():
    judged = judge(
        job_of(),
        pod_of(
            main={"waiting": {"reason": "PodInitializing"}}, init={"terminated": {"exitCode": 5, "reason": "Error"}}
        ),
    )
    assert judged.status.state is BlockState.FAILED
    assert "container 'unpack': exited with code 5" in judged.status.message
    assert judged.log_of[1] == "unpack"


NOT_FOUND = 'failed to pull and unpack image "reg/x:1": failed to resolve reference "reg/x:1": reg/x:1: not found'
DENIED = "failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized"
NO_HOST = 'failed to do request: Head "https://no/v2/": dial tcp: lookup no on 10.0.0.53:53: no such host'
TIMEOUT = 'failed to do request: Head "https://reg/v2/": dial tcp 10.0.0.9:443: i/o timeout'
OWN_REGISTRY = 'failed to do request: Head "http://localhost/v2/": dial tcp 127.0.0.1:80: connect: connection refused'
PLATFORM = "no match for platform in manifest: not found"


@pytest.mark.parametrize(
    ("reason", "words", "seconds", "advice"),
    [
        ("ErrImagePull", NOT_FOUND, 0, "Correct the image's name, or push it"),
        ("ImagePullBackOff", f"Back-off pulling image: ErrImagePull: {NOT_FOUND}", 0, "Correct the image's name"),
        ("ErrImagePull", DENIED, 0, "image_pull_secrets"),
        ("ErrImagePull", PLATFORM, 0, "architecture"),
        ("ErrImagePull", NO_HOST, 5, "Correct the image's name"),
        ("ErrImagePull", OWN_REGISTRY, 5, "localhost"),
        ("ErrImagePull", TIMEOUT, 120, "reach the image's registry"),
        ("ErrImagePull", f"pulling reg/app@sha256:a403b77{'0' * 56}c401: {TIMEOUT}", 120, "reach the image's registry"),
        ("InvalidImageName", "invalid reference format", 0, "Correct"),
        ("ErrImageNeverPull", "not present with pull policy of Never", 0, "pull='never'"),
    ],
)
def test_image_that_cannot_be_pulled_fails_the_block_in_the_words_of_its_registry(reason, words, seconds, advice):
    pod = waiting(reason, words)
    before, after = status(job_of(), pod, after=max(0, seconds - 1)), status(job_of(), pod, after=seconds)
    assert seconds == 0 or before.state is BlockState.PENDING
    assert (after.state, after.cause) == (BlockState.FAILED, EndCause.IMAGE)
    assert words in after.message
    assert advice in after.message


def test_patience_counts_through_the_back_off_of_a_pull():
    waits = Waits()
    assert status(job_of(), waiting("ErrImagePull", TIMEOUT), waits=waits, after=119).state is BlockState.PENDING
    late = BlockObjects(job_of(), (waiting("ImagePullBackOff", TIMEOUT),))
    assert judge_block(NAME, late, waits, now=Seconds(221.0), wall=NOW).status.state is BlockState.FAILED


def test_wait_that_ends_begins_its_patience_anew():
    waits = Waits()
    status(job_of(), waiting("ErrImagePull", TIMEOUT), waits=waits, after=100)
    running = BlockObjects(job_of(), (pod_of("Running", RUNNING),))
    assert judge_block(NAME, running, waits, now=Seconds(201.0), wall=NOW).status.state is BlockState.RUNNING
    again = BlockObjects(job_of(), (waiting("ErrImagePull", TIMEOUT),))
    assert judge_block(NAME, again, waits, now=Seconds(300.0), wall=NOW).status.state is BlockState.PENDING


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        (waiting("CreateContainerConfigError", 'secret "s" not found'), 'secret "s" not found'),
        (
            waiting("CreateContainerConfigError", "container has runAsNonRoot and image will run as root"),
            "user_id=1000",
        ),
        (unschedulable('0/2 nodes are available: persistentvolumeclaim "c" not found. not found'), "Make that claim"),
        (waiting("CrashLoopBackOff", "back-off 10s restarting failed container"), "CrashLoopBackOff"),
    ],
)
def test_pod_that_can_never_start_fails_the_block_within_seconds(pod, words):
    found = status(job_of(), pod, after=5)
    assert found.state is BlockState.FAILED
    assert words in found.message


def test_secret_that_comes_a_moment_later_is_waited_for():
    pod = waiting("CreateContainerConfigError", 'secret "s" not found')
    assert status(job_of(), pod, after=4).state is BlockState.PENDING


NO_ROOM = (
    "0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: 2 Preemption is not helpful"
)


def test_pod_without_a_node_waits_for_the_autoscaler_with_the_sentence_of_the_scheduler():
    found = status(job_of(), unschedulable(NO_ROOM), after=3600)
    assert (found.state, found.message) == (BlockState.PENDING, f"Pod {NAME}-0-x: Unschedulable: {NO_ROOM}")


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ('Error creating: pods "x-" is forbidden: violates PodSecurity "restricted:latest"', 0),
        ('Error creating: admission webhook "w" denied the request: no team label', 0),
        ('Error creating: pods "x-" is forbidden: no PriorityClass with name nopc was found', 0),
        ('Error creating: pods "x-" is forbidden: pod rejected: RuntimeClass "norc" not found', 0),
        (
            'Error creating: pods "x-" is forbidden: error looking up service account h/nosa: serviceaccount not found',
            5,
        ),
        ("Error creating: Internal error occurred: failed calling webhook: timeout", 120),
    ],
)
def test_pod_that_is_refused_fails_the_block_in_the_words_of_the_job_controller(words, seconds):
    events = [warning("FailedCreate", words, "job")]
    assert seconds == 0 or status(job_of(), events=events, after=seconds - 1).state is BlockState.PENDING
    found = status(job_of(), events=events, after=seconds)
    assert found.state is BlockState.FAILED
    assert words in found.message


def test_used_up_quota_is_waited_for():
    words = (
        'Error creating: pods "x-" is forbidden: exceeded quota: rq, requested: pods=1, used: pods=2, limited: pods=2'
    )
    found = status(job_of(), events=[warning("FailedCreate", words, "job")], after=3600)
    assert (found.state, found.message) == (BlockState.PENDING, f"Job {NAME}: {words}")


def test_volume_that_is_missing_fails_the_block():
    events = [warning("FailedMount", 'MountVolume.SetUp failed for volume "v" : secret "nosecret" not found')]
    pod = waiting("ContainerCreating")
    assert status(job_of(), pod, events=events, after=4).state is BlockState.PENDING
    found = status(job_of(), pod, events=events, after=5)
    assert (found.state, 'secret "nosecret" not found' in found.message) == (BlockState.FAILED, True)


def test_warning_about_another_pod_says_nothing():
    events = [warning("FailedMount", 'secret "nosecret" not found', "other")]
    assert status(job_of(), waiting("ContainerCreating"), events=events, after=60).message == ""


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("EvictionByEvictionAPI", EndCause.PREEMPTED),
        ("PreemptionByScheduler", EndCause.PREEMPTED),
        ("DeletionByTaintManager", EndCause.PREEMPTED),
        ("TerminationByKubelet", EndCause.PREEMPTED),
        ("DeletionByPodGC", EndCause.NODE),
    ],
)
def test_disruption_is_no_fault_of_the_block(reason, cause):
    gone = "2026-11-26T07:47:57Z"
    draining = status(job_of(), pod_of("Running", RUNNING, conditions=[disrupted(reason)]))
    assert (draining.state, reason in draining.message) == (BlockState.RUNNING, True)
    over = status(job_of(FAILED_JOB), ended(143, conditions=[disrupted(reason, "words")], deleted=gone))
    assert (over.state, over.cause) == (BlockState.FAILED, cause)
    assert f"({reason}: words)" in over.message


def test_manager_that_ends_in_time_is_preempted_all_the_same():
    pod = ended(0, "Completed", "Succeeded", conditions=[disrupted("EvictionByEvictionAPI")])
    found = status(job_of(), pod)
    assert (found.state, found.cause, found.exit_code) == (BlockState.ENDED, EndCause.PREEMPTED, 0)


def test_eviction_by_the_kubelet_is_quoted():
    pod = pod_of("Failed", reason="Evicted", message="The node was low on resource: memory.")
    found = status(job_of(FAILED_JOB), pod)
    assert found.cause is EndCause.PREEMPTED
    assert "Evicted: The node was low on resource: memory." in found.message


def test_pod_deleted_by_hand_is_told_apart():
    found = status(job_of(FAILED_JOB), ended(143, deleted="2026-11-26T07:47:57Z"))
    assert found.cause is EndCause.USER
    assert "deleted" in found.message
    assert status(job_of(FAILED_JOB)).cause is EndCause.USER


def test_deadline_of_the_job_is_its_walltime():
    over = ("FailureTarget", "DeadlineExceeded", "Job was active longer than specified deadline")
    assert status(job_of(over), ended(143, deleted="2026-11-26T07:47:57Z")).cause is EndCause.WALLTIME
    assert status(job_of(over)).cause is EndCause.WALLTIME
    in_time = ended(0, "Completed", "Succeeded", deleted="2026-11-26T07:47:57Z")
    assert status(job_of(over), in_time).cause is EndCause.WALLTIME


def test_pod_of_a_lost_node_is_not_waited_for():
    long_ago = pod_of("Running", RUNNING, deleted="2026-11-26T07:00:00Z")
    found = status(job_of(FAILED_JOB), long_ago)
    assert (found.state, found.cause) == (BlockState.FAILED, EndCause.NODE)
    assert "node1 does not confirm" in found.message


def test_block_that_is_deleted_runs_until_its_pod_has_ended():
    deleted = pod_of("Running", RUNNING, deleted="2026-11-26T07:56:40Z")
    assert status(None, deleted).state is BlockState.RUNNING


def test_queue_of_jobs_is_named():
    assert "suspended" in status(job_of(suspend=True)).message


def test_block_of_several_nodes_runs_while_any_does():
    pods = [ended(1, rank=0), pod_of("Running", RUNNING, rank=1), waiting("ContainerCreating", rank=2)]
    found = status(job_of(pods=3), *reversed(pods))
    assert (found.state, found.hosts) == (BlockState.RUNNING, tuple(f"{NAME}-{rank}" for rank in range(3)))
    over = status(job_of(pods=2), ended(0, "Completed", "Succeeded", rank=0), ended(4, rank=1))
    assert (over.state, over.exit_code) == (BlockState.FAILED, 4)


def test_block_of_several_nodes_waits_for_pods_that_are_still_to_be_made():
    assert status(job_of(pods=2), ended(0, "Completed", "Succeeded")).state is BlockState.PENDING


def test_bare_pod_is_a_block():
    assert status(None, pod_of("Running", RUNNING), is_bare=True).state is BlockState.RUNNING
    assert status(None, pod_of(), is_bare=True).state is BlockState.PENDING
    assert status(None, ended(2), is_bare=True).exit_code == 2


def test_workload_is_over_once_it_ends_or_is_deleted():
    assert not is_over(job_of())
    assert is_over(job_of(FAILED_JOB))
    assert is_over(job_of(("FailureTarget", "BackoffLimitExceeded", "")))
    assert is_over({"metadata": {"deletionTimestamp": "2026-11-26T07:00:00Z"}, "status": {}})
    assert is_over({"metadata": {}, "status": {"phase": "Failed"}})
