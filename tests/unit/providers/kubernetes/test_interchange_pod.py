"""Objects of an interchange in a cluster."""

import pytest

from cnflow.capsule import Kind, Probe
from cnflow.config.kubernetes import KubernetesProvider
from cnflow.ids import RunId
from cnflow.interfaces import InterchangeRequest
from cnflow.model.image import Image
from cnflow.providers.kubernetes import interchange_pod as made
from cnflow.providers.kubernetes.names import BLOCK
from cnflow.providers.kubernetes.pod_start import PodCode
from cnflow.units import Seconds

OWNER = {"apiVersion": "batch/v1", "kind": "Job", "name": "cnflow-3fa1-run", "uid": "u"}
REQUEST = InterchangeRequest(RunId("3fa1"), "train", Image("app:1"), None, Seconds(3600.0))
PROBE = Probe("3.11.2", "CPython", "x86_64", "glibc 2.36", "/usr/bin/python3")
CODE = PodCode(Kind("3.11", "x86_64", "glibc"), "tag", {"part-00": "code-00"})


def pod_of(request=REQUEST, number=1, **settings):
    return made.pod_of(request, KubernetesProvider(**settings), PROBE, CODE, OWNER, number)


def selects(selector, labels):
    return selector.items() <= labels.items()


def test_pod_runs_the_keeper_in_the_image_of_the_executor():
    pod = pod_of()
    container = pod["spec"]["containers"][0]
    assert container["image"] == "app:1"
    keeper = "/.cnflow/capsule/tag/cnflow/interchange/keeper.py"
    assert container["command"] == [PROBE.executable, "-I", keeper, "3600"]
    assert {"name": "cnflow-interchange", "mountPath": "/.cnflow/interchange"} in container["volumeMounts"]
    assert pod["metadata"]["ownerReferences"] == [OWNER]
    assert pod["metadata"]["name"] == "cnflow-3fa1-train-interchange-1"
    assert pod["spec"]["restartPolicy"] == "Never"


def test_code_is_unpacked_before_a_relay_can_be_started():
    (unpacking,) = pod_of(pull="never", user_id=1000)["spec"]["initContainers"]
    assert unpacking["command"][:3] == [PROBE.executable, "-I", "-c"]
    assert unpacking["command"][-4:] == [PROBE.executable, "-I", "-c", ""]
    assert unpacking["imagePullPolicy"] == "Never"
    assert unpacking["securityContext"]["allowPrivilegeEscalation"] is False
    assert {each["mountPath"] for each in unpacking["volumeMounts"]} == {"/.cnflow/parts", "/.cnflow/capsule"}


def test_image_with_the_code_is_not_unpacked():
    code = PodCode(CODE.kind, "tag")
    pod = made.pod_of(REQUEST, KubernetesProvider(), PROBE, code, OWNER, 1)
    assert "initContainers" not in pod["spec"]
    assert pod["spec"]["containers"][0]["command"][2] == f"{code.root}/cnflow/interchange/keeper.py"


def test_relay_runs_on_the_python_that_runs_the_keeper():
    argv = made.relay_argv(PROBE, CODE)
    main = "/.cnflow/capsule/tag/cnflow/interchange/__main__.py"
    assert argv == [PROBE.executable, "-I", main, "--attach", "/.cnflow/interchange/run"]


def test_pod_is_selected_by_its_service_and_is_no_block():
    pod, service = pod_of(), made.service_of(REQUEST, KubernetesProvider(), OWNER)
    assert selects(service["spec"]["selector"], pod["metadata"]["labels"])
    assert BLOCK not in pod["metadata"]["labels"]
    assert service["spec"]["ports"][0]["port"] == service["spec"]["ports"][0]["targetPort"] == made.DEFAULT_PORT


def test_options_of_workers_are_not_those_of_the_interchange():
    image = Image("app:1", gpus=2, memory="64g", cpus=16, user="1000", mounts=["/data:/data"])
    pod = pod_of(
        REQUEST._replace(image=image),
        gpus=1,
        init_cpu=8,
        worker_init="module load x",
        sidecars=[{"name": "s", "image": "s:1"}],
        volumes=["pvc:data:/scratch"],
        node_selector={"zone": "a"},
    )
    container = pod["spec"]["containers"][0]
    assert container["resources"] == {"requests": {"cpu": "250m", "memory": "250Mi"}}
    assert [each["name"] for each in pod["spec"]["initContainers"]] == ["cnflow-code"]
    assert {each["mountPath"] for each in container["volumeMounts"]} == {
        "/.cnflow/parts",
        "/.cnflow/capsule",
        "/.cnflow/interchange",
    }
    assert pod["spec"]["securityContext"]["runAsUser"] == 1000
    assert pod["spec"]["nodeSelector"] == {"zone": "a"}


def test_limits_of_a_namespace_that_demands_them_are_kept():
    container = pod_of(max_cpu=2, max_mem="1Gi")["spec"]["containers"][0]
    assert container["resources"]["limits"] == {"cpu": "2", "memory": "1Gi"}


def test_pod_leaves_a_lost_node_unless_the_user_says_when():
    own = pod_of()["spec"]["tolerations"]
    assert {each["key"] for each in own} == {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}
    theirs = pod_of(tolerations=["node.kubernetes.io/unreachable:NoExecute"])["spec"]["tolerations"]
    unreachable = [each for each in theirs if each["key"] == "node.kubernetes.io/unreachable"]
    assert [each.get("tolerationSeconds") for each in unreachable] == [None]


def test_patches_change_pod_and_service():
    patches = [{"metadata": {"annotations": {"a": "b"}}}, {"kind": "Service", "spec": {"type": "NodePort"}}]
    service = made.service_of(REQUEST, KubernetesProvider(patch=patches), OWNER)
    assert service["spec"]["type"] == "NodePort"
    assert pod_of(patch=patches)["metadata"]["annotations"]["a"] == "b"


def test_policies_let_blocks_of_the_executor_reach_its_interchange_alone():
    interchange, blocks = (each["spec"] for each in made.policies_of(REQUEST, KubernetesProvider(), OWNER))
    assert selects(interchange["podSelector"]["matchLabels"], pod_of()["metadata"]["labels"])
    allowed = interchange["ingress"][0]["from"][0]["podSelector"]["matchLabels"]
    assert allowed["cnflow.org/run"] == "3fa1"
    assert interchange["ingress"][0]["ports"] == [{"port": made.DEFAULT_PORT, "protocol": "TCP"}]
    assert blocks["podSelector"]["matchExpressions"] == [{"key": BLOCK, "operator": "Exists"}]
    assert "ingress" not in blocks


def test_service_that_is_made_again_gets_its_address_back():
    service = made.service_of(REQUEST, KubernetesProvider(), OWNER)
    assert made.at_address(service, ["10.96.0.7", "x.team.svc"])["spec"]["clusterIP"] == "10.96.0.7"
    assert made.at_address(service, []) == service


def test_port_of_the_user_is_taken():
    request = REQUEST._replace(ports=(6000, 6010))
    assert made.service_of(request, KubernetesProvider(), OWNER)["spec"]["ports"][0]["port"] == 6000


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        (None, True),
        ({"metadata": {}, "status": {"phase": "Running"}}, False),
        ({"metadata": {}, "status": {"phase": "Pending"}}, False),
        ({"metadata": {}, "status": {"phase": "Failed"}}, True),
        ({"metadata": {}, "status": {"phase": "Succeeded"}}, True),
        ({"metadata": {"deletionTimestamp": "2026"}, "status": {"phase": "Running"}}, True),
    ],
)
def test_pod_is_over_once_it_ends_or_is_deleted(pod, expected):
    assert made.is_over(pod) is expected
