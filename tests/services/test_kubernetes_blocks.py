"""Blocks on a real cluster that wait, fail or are taken away: in its own words, and with the user's next step."""

import time
import uuid

import pytest

from cnflow.config.kubernetes import KubernetesProvider
from cnflow.errors import BlockError
from cnflow.ids import BlockId, RunId
from cnflow.model.block import BlockRequest, BlockState, EndCause, Refusal, Refused
from cnflow.model.image import Image
from cnflow.model.manager_settings import ManagerSettings
from cnflow.model.node_command import NodeCommand
from cnflow.providers.kubernetes.provider import KubernetesBackend
from tests.services.kubernetes_cluster import wait_until

pytestmark = pytest.mark.kubernetes

RUNS = ("sh", "-c", "echo ready; trap 'exit 0' TERM; while :; do sleep 0.1; done")


@pytest.fixture
def settings_of(cluster, namespace, pod_image):
    def settings_of(**options):
        chosen = {"kubeconfig": cluster.kubeconfig, "namespace": namespace, "init_cpu": "10m", "init_mem": "16Mi"}
        return KubernetesProvider(**{**chosen, **options})

    return settings_of


@pytest.fixture
def backend_of(settings_of, pod_image):
    """Makes providers; images are looked at once, with settings that work."""
    made = []

    def backend_of(**options):
        backend = KubernetesBackend(settings_of(**options))
        made.append(backend)
        return backend

    yield backend_of
    for backend in made:
        backend.close()


@pytest.fixture
def submit(backend_of, pod_image, tmp_path):
    """Submits a block whose settings the look at the image has not seen: ``submit(command, **options)``."""
    run, started, images = RunId(f"t-{uuid.uuid4().hex[:8]}"), [], {}

    def submit(*command, nodes=1, **options):
        if not images:
            first = backend_of()
            first.prepare(Image.of(pod_image))
            images.update(first._images)
        backend = backend_of(**options)
        backend._images = images
        block = BlockId(str(len(started)))
        manager = ManagerSettings(hosts=(), endpoint="ipc:///nowhere", executor="htex", block=block, secret_key="x")
        request = BlockRequest(
            run,
            "htex",
            block,
            Image.of(pod_image),
            manager,
            tmp_path / "log",
            nodes=nodes,
            command=NodeCommand(command or RUNS),
        )
        answer = backend.submit([request])[block]
        if not isinstance(answer, Refused):
            started.append((backend, answer))
        return backend, answer

    yield submit
    for backend, block in started:
        backend.cancel([block])


def status_when(backend, block, *states, patience=30.0):
    """The first status of *block* with one of *states*, and the seconds until then."""
    begin = time.monotonic()
    found = wait_until(lambda: (now := backend.status([block])[block]).state in states and now, patience)
    return found, time.monotonic() - begin


def pod_of(cluster, namespace, block):
    (pod,) = cluster.get("pods", namespace=namespace) if block is None else _pods(cluster, namespace, block)
    return pod["metadata"]["name"]


def _pods(cluster, namespace, block):
    return [
        pod
        for pod in cluster.get("pods", namespace=namespace)
        if pod["metadata"]["labels"].get("job-name", pod["metadata"]["name"]) == block
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"volumes": ["pvc:nothing:/data"]}, 'persistentvolumeclaim "nothing" not found'),
        ({"volumes": ["secret:nothing:/keys"]}, 'secret "nothing" not found'),
        ({"secret_environment": {"KEY": "nothing/key"}}, 'secret "nothing" not found'),
        ({"service_account": "nothing"}, 'serviceaccount "nothing" not found'),
        ({"priority_class": "nothing"}, "no PriorityClass with name nothing"),
        ({"runtime_class": "nothing"}, 'RuntimeClass "nothing" not found'),
        ({"init_cpu": 500}, "no node of the cluster has more than"),
        ({"gpus": 1}, "No node of the cluster has nvidia.com/gpu"),
        ({"extra_limits": {"example.com/none": 1}}, "No node of the cluster has example.com/none"),
    ],
    ids=str,
)
def test_block_that_can_never_start_fails_within_seconds(submit, options, words):
    backend, block = submit(**options)
    status, seconds = status_when(backend, block, BlockState.FAILED)
    assert words in status.message
    assert seconds < 25  # the longest pause of a controller that tries again, on a loaded machine


def test_block_that_no_node_takes_now_waits_with_the_sentence_of_the_scheduler(submit):
    backend, block = submit(node_selector={"no": "such"})
    status = wait_until(lambda: (now := backend.status([block])[block]).message and now)
    assert status.state is BlockState.PENDING
    assert "didn't match Pod's node affinity/selector" in status.message


def test_invalid_option_is_refused_in_the_words_of_the_server(submit):
    _, refused = submit(patch={"kind": "Pod", "spec": {"dnsPolicy": "Sometimes"}})
    assert refused.kind is Refusal.FOR_GOOD
    assert 'Unsupported value: "Sometimes"' in refused.words


def test_full_quota_is_waited_for(cluster, namespace, submit):
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "few", "namespace": namespace},
        "spec": {"hard": {"pods": "0"}},
    }
    submit("true")  # the image has been looked at
    cluster.apply(quota)
    wait_until(lambda: cluster.get("resourcequota", "few", namespace=namespace)[0].get("status", {}).get("hard"))
    backend, block = submit()
    status = wait_until(lambda: (now := backend.status([block])[block]).message and now)
    assert status.state is BlockState.PENDING
    assert "exceeded quota: few" in status.message
    cluster.apply({**quota, "spec": {"hard": {"pods": "9"}}})
    status_when(backend, block, BlockState.RUNNING, patience=60)


def test_restricted_namespace_refuses_root_and_takes_a_user(cluster, pod_image, submit, namespace):
    submit("true")
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    backend, block = submit()
    status, _ = status_when(backend, block, BlockState.FAILED)
    assert 'violates PodSecurity "restricted:latest"' in status.message
    assert "KubernetesProvider(user_id=1000, run_as_non_root=True)" in status.message
    backend, block = submit(user_id=1000, run_as_non_root=True)
    status_when(backend, block, BlockState.RUNNING)


def test_memory_limit_is_named_when_it_is_exceeded(submit):
    backend, block = submit("python3", "-c", "held = bytearray(2**28)", max_mem="32Mi")
    status, _ = status_when(backend, block, BlockState.FAILED)
    assert status.cause is EndCause.OOM
    assert "limit of 32Mi" in status.message


def test_command_that_the_image_does_not_have_is_quoted(submit):
    backend, block = submit("no-such-command")
    status, _ = status_when(backend, block, BlockState.FAILED)
    assert status.cause is EndCause.IMAGE
    assert 'exec: "no-such-command": executable file not found' in status.message


def test_evicted_block_is_preempted(cluster, namespace, submit):
    backend, block = submit()
    status_when(backend, block, BlockState.RUNNING)
    pod = pod_of(cluster, namespace, block)
    eviction = f'{{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {{"name": "{pod}"}}}}'
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction"
    cluster.kubectl("create", "--raw", path, "-f", "-", text=eviction)
    status, _ = status_when(backend, block, BlockState.FAILED, BlockState.ENDED)
    assert status.cause is EndCause.PREEMPTED
    assert "EvictionByEvictionAPI" in status.message


@pytest.mark.parametrize("what", ["pod", "job"])
def test_block_that_somebody_deletes_is_over(cluster, namespace, submit, what):
    backend, block = submit()
    status_when(backend, block, BlockState.RUNNING)
    name = pod_of(cluster, namespace, block) if what == "pod" else block
    cluster.kubectl("delete", what, name, "--namespace", namespace, "--wait=false")
    status, _ = status_when(backend, block, BlockState.FAILED, BlockState.GONE, BlockState.ENDED)
    assert what == "job" or status.cause is EndCause.USER


def test_deadline_of_a_block_is_its_walltime(submit):
    backend, block = submit(active_deadline=3)
    status, _ = status_when(backend, block, BlockState.FAILED, BlockState.ENDED)
    assert status.cause is EndCause.WALLTIME


def test_block_of_several_pods_has_a_log_for_each(submit):
    backend, block = submit("sh", "-c", "echo rank $CNFLOW_NODE_RANK; while :; do sleep 0.1; done", nodes=2)
    wait_until(lambda: all(backend.logs(block, rank, 5) == f"rank {rank}\n".encode() for rank in range(2)))
    assert len(backend.status([block])[block].hosts) == 2
    assert backend.cancel([block]) == {}


def test_block_of_several_pods_goes_on_without_one(cluster, namespace, submit):
    backend, block = submit(nodes=2)
    wait_until(lambda: all(b"ready" in backend.logs(block, rank, 5) for rank in range(2)))
    cluster.kubectl("delete", "pod", _pods(cluster, namespace, block)[0]["metadata"]["name"], "-n", namespace)
    assert backend.status([block])[block].state is BlockState.RUNNING


def test_missing_namespace_is_named_with_the_nearest(backend_of, namespace, pod_image):
    backend = backend_of(namespace=f"{namespace}x")
    with pytest.raises(BlockError, match=rf"has no namespace '{namespace}x'\. Did you mean '{namespace}'\?"):
        backend.prepare(Image.of(pod_image))


def test_options_of_nodes_classes_and_ends_hold_in_a_running_pod(cluster, namespace, pod_image, submit, tmp_path):
    name = f"cnflow-{uuid.uuid4().hex[:8]}"  # of the whole cluster
    common = {"metadata": {"name": name}}
    cluster.apply(
        {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 7, **common},
        {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "handler": "runc", **common},
    )
    place = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node2"]}
    required = {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [place]}]}
    }
    (tmp_path / "shown").write_text("of the node")
    waits = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
    try:
        _, block = submit(
            "sh",
            "-c",
            "cat /node/shown; touch /node/no || echo; sleep 3",
            affinity={"nodeAffinity": required},
            node_selector={"kubernetes.io/hostname": "node2"},
            priority_class=name,
            runtime_class=name,
            termination_grace=7,
            ttl=5,
            volumes=[f"host_path:{tmp_path}:/node:ro"],
            sidecars=[{"name": "beside", "image": pod_image, "command": ["sh", "-c", waits]}],
        )
        running = wait_until(lambda: [pod for pod in _pods(cluster, namespace, block) if _is_complete(pod)])
    finally:
        cluster.kubectl("delete", "priorityclass,runtimeclass", name)
    spec = running[0]["spec"]
    assert (spec["priority"], spec["runtimeClassName"], spec["nodeName"]) == (7, name, "node2")
    assert (spec["affinity"], spec["terminationGracePeriodSeconds"]) == ({"nodeAffinity": required}, 7)
    log = cluster.kubectl("logs", running[0]["metadata"]["name"], "--namespace", namespace, "-c", "cnflow")
    assert "of the node\n" in log
    assert "Read-only file system" in log
    wait_until(lambda: not cluster.get("jobs", block, namespace=namespace))  # its `ttl`: nobody has deleted it


def _is_complete(pod):
    """Whether the main container and a sidecar run at the same time."""
    states = [each for kind in ("containerStatuses", "initContainerStatuses") for each in pod["status"].get(kind, ())]
    return len(states) == 2 and all("running" in each["state"] for each in states)


def test_server_refuses_none_of_hundreds_of_blocks_that_are_submitted_at_once(
    cluster, namespace, backend_of, pod_image, tmp_path
):
    backend, images = backend_of(node_selector={"no": "such"}), backend_of()
    images.prepare(Image.of(pod_image))
    backend._images = images._images
    refused_by_server = _requests_refused_by_flow_control(cluster)
    run = RunId(f"t-{uuid.uuid4().hex[:8]}")
    blocks = [BlockId(str(number)) for number in range(backend._settings.traits().submit_at_once)]

    def request(block):
        manager = ManagerSettings(hosts=(), endpoint="ipc:///nowhere", executor="htex", block=block, secret_key="x")
        return BlockRequest(run, "htex", block, Image.of(pod_image), manager, tmp_path / "log")

    answers = backend.submit([request(block) for block in blocks])
    refused = [answer for answer in answers.values() if isinstance(answer, Refused)]
    assert (len(answers), refused) == (len(blocks), [])

    def owners():
        secrets = cluster.get("secrets", "-l", "cnflow.org/block", namespace=namespace)
        return {each["metadata"]["name"]: each["metadata"]["ownerReferences"][0]["kind"] for each in secrets}

    wait_until(lambda: owners() == dict.fromkeys(answers.values(), "Job"))
    assert _requests_refused_by_flow_control(cluster) == refused_by_server


def _requests_refused_by_flow_control(cluster):
    """Lines of the API server's metrics that count answers with 429."""
    lines = cluster.kubectl("get", "--raw", "/metrics").splitlines()
    return [line for line in lines if line.startswith("apiserver_flowcontrol_rejected_requests_total")]


def test_block_leaves_nothing_behind(cluster, namespace, submit):
    backend, block = submit()
    status_when(backend, block, BlockState.RUNNING)
    assert backend.cancel([block]) == {}
    backend.close()
    wait_until(lambda: cluster.objects(namespace) == set())
