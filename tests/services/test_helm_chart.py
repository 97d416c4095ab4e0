"""The Helm chart without a cluster: what helm makes of values, and which values it refuses."""

import json
import os
import re
from pathlib import Path

import kubernetes.client
import pytest
import yaml

from cnflow.config.serving import ServeConfig
from cnflow.config.worker_pool import PoolServer
from cnflow.serving.metric_families import CALLS_NOW
from tests.services.helm_chart import CHART, HelmError, helm, render

pytestmark = pytest.mark.helm

SNAPSHOTS = Path(__file__).parents[1] / "data" / "chart"
DIGITS = {"pools": {"digits": {"image": "digits:0.1"}}}
ALL = yaml.safe_load((SNAPSHOTS / "all.values.yaml").read_text(encoding="utf-8"))


def refusal(values, release="demo"):
    with pytest.raises(HelmError) as caught:
        render(values, release)
    return str(caught.value)


def server_of(objects, name="demo"):
    return json.loads(objects["ConfigMap", f"{name}-server"]["data"]["server.json"])


def container_of(deployment):
    return deployment["spec"]["template"]["spec"]["containers"][0]


def pods_of(objects):
    return [each["spec"]["template"]["spec"] for (kind, _), each in objects.items() if kind == "Deployment"]


def test_chart_passes_the_lint_of_helm():
    assert "0 chart(s) failed" in helm("lint", "--strict", CHART, values=ALL)
    assert "0 chart(s) failed" in helm("lint", "--strict", CHART)


@pytest.mark.parametrize(("name", "values"), [("digits", DIGITS), ("all", ALL)], ids=["digits", "all"])
def test_objects_of_a_release_are_those_of_the_snapshot(name, values):
    """To write it anew: CNFLOW_WRITE_SNAPSHOTS=1 .venv/bin/pytest tests/services/test_helm_chart.py."""
    rendered = yaml.safe_dump_all(render(values).values(), sort_keys=True, width=120)
    path = SNAPSHOTS / f"{name}.yaml"
    if os.environ.get("CNFLOW_WRITE_SNAPSHOTS"):
        path.write_text(rendered, encoding="utf-8")
    assert rendered == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("values", [DIGITS, ALL], ids=["digits", "all"])
def test_server_accepts_the_settings_that_the_chart_writes(values):
    server = PoolServer.model_validate(server_of(render(values)))
    assert {pool.label for pool in server.pools} == set(values["pools"])
    assert (server.release.name, server.release.namespace) == ("demo", "team")


def test_settings_of_a_pool_name_the_objects_of_the_chart():
    objects = render(DIGITS)
    server = PoolServer.model_validate(server_of(objects))
    (pool,) = server.pools
    release = server.release
    for kind, name in (
        ("Deployment", pool.deployment.name),
        ("Secret", pool.deployment.secret),
        ("Secret", release.keys_secret),
        ("ConfigMap", release.clients_config_map),
        ("ConfigMap", release.pools_config_map),
        ("Service", pool.address.partition(".")[0]),
    ):
        assert (kind, name) in objects
    ports = objects["Service", "demo-digits"]["spec"]["ports"]
    assert [port["targetPort"] for port in ports] == [pool.managers_port, pool.clients_port]
    assert pool.address == "demo-digits.team.svc"


def test_ports_of_a_pool_stay_when_others_come():
    more = {"pools": {"aaa": {"image": "a:1"}, **DIGITS["pools"], "zzz": {"image": "z:1"}}}
    alone, beside = (PoolServer.model_validate(server_of(render(values))) for values in (DIGITS, more))
    (same,) = (pool for pool in beside.pools if pool.label == "digits")
    assert (same.managers_port, same.clients_port) == (alone.pools[0].managers_port, alone.pools[0].clients_port)


def test_two_pools_with_one_port_are_refused_with_a_free_one():
    words = refusal({"pools": {"a": {"image": "a:1", "port": 20000}, "b": {"image": "b:1", "port": 20000}}})
    assert "The pools 'a' and 'b' have the same port 20000. Set pools.b.port to an even number of your own" in words


def test_chart_leaves_the_number_of_pods_to_the_server_where_it_scales():
    scaled = render(DIGITS)["Deployment", "demo-digits"]
    fixed = render({"pools": {"digits": {"image": "d:1", "replicas": 3, "autoscaling": {"enabled": False}}}})
    assert "replicas" not in scaled["spec"]
    assert fixed["Deployment", "demo-digits"]["spec"]["replicas"] == 3
    deployment = PoolServer.model_validate(server_of(fixed)).pools[0].deployment
    assert (deployment.min_replicas, deployment.init_replicas, deployment.max_replicas) == (3, 3, 3)
    assert not deployment.scales, "another controller, or kubectl scale, may change it"


def test_upgrade_leaves_the_number_of_pods_to_another_controller():
    pool = {"image": "d:1", "replicas": None, "autoscaling": {"enabled": False}}
    objects = render({"pools": {"digits": pool}})
    assert "replicas" not in objects["Deployment", "demo-digits"]["spec"]
    assert not PoolServer.model_validate(server_of(objects)).pools[0].deployment.scales


def test_pods_of_a_pool_do_not_change_with_the_version_or_with_other_pools():
    one = render(DIGITS)["Deployment", "demo-digits"]["spec"]["template"]
    two = render({"pools": {**DIGITS["pools"], "other": {"image": "o:1"}}})["Deployment", "demo-digits"]["spec"][
        "template"
    ]
    assert one == two
    assert "helm.sh/chart" not in one["metadata"]["labels"]


def test_resources_of_a_pool_replace_those_of_the_defaults():
    values = {"pools": {"digits": {"image": "d:1", "resources": {"limits": {"cpu": "1500m"}}, "gpus": 2}}}
    objects = render(values)
    resources = container_of(objects["Deployment", "demo-digits"])["resources"]
    assert resources == {"limits": {"cpu": "1500m", "nvidia.com/gpu": 2}}
    pool = PoolServer.model_validate(server_of(objects)).pools[0]
    assert pool.deployment.cores == 1.5
    assert pool.available_accelerators == 2 or len(pool.available_accelerators) == 2


def test_section_of_a_pool_is_merged_with_that_of_the_defaults():
    values = {
        "poolDefaults": {"autoscaling": {"maxReplicas": 9}},
        "pools": {"a": {"image": "a:1", "autoscaling": {"minReplicas": 2}}},
    }
    deployment = PoolServer.model_validate(server_of(render(values))).pools[0].deployment
    assert (deployment.min_replicas, deployment.max_replicas) == (2, 9)


@pytest.mark.parametrize("values", [DIGITS, ALL], ids=["digits", "all"])
def test_every_pod_is_one_of_the_restricted_level_of_pod_security(values):
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted."""
    for pod in pods_of(render(values)):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"] + pod.get("initContainers", []):
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_server_may_read_no_secret_but_those_of_the_release():
    rules = render(ALL)["Role", "demo-server"]["rules"]
    secrets = [rule for rule in rules if "secrets" in rule["resources"]]
    assert all(name.startswith("demo-") for rule in secrets for name in rule["resourceNames"])
    assert {verb for rule in secrets for verb in rule["verbs"]} == {"get", "patch"}
    assert not [rule for rule in rules if "*" in rule["resources"] + rule["verbs"] + rule["apiGroups"]]
    assert not [kind for kind, _ in render(ALL) if kind.startswith("Cluster")]


def test_pods_of_a_pool_have_no_token_of_a_service_account():
    pod = render(DIGITS)["Deployment", "demo-digits"]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False


def test_image_without_a_shell_is_started_by_the_python_that_cnflow_brings():
    values = {"pools": {"bare": {"image": "bare:1", "shell": False}}}
    assert container_of(render(values)["Deployment", "demo-bare"])["command"][0].startswith("/cnflow/carried/")


def test_image_of_cnflow_can_be_named_by_its_digest():
    digest = "sha256:" + 64 * "0"
    values = {**DIGITS, "image": {"repository": "r.example.org/cnflow", "digest": digest}}
    assert container_of(render(values)["Deployment", "demo-server"])["image"] == f"r.example.org/cnflow@{digest}"


def test_names_follow_the_release_and_stay_short():
    assert ("Deployment", "other-server") in render({**DIGITS, "fullnameOverride": "other"})
    long = render(DIGITS, release=53 * "x")
    assert max(len(name) for _, name in long) <= 63


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"pool": {}}, "The chart has no value 'pool'. Did you mean 'pools'? Known: "),
        ({"pools": {"a": {"imgae": "a:1"}}}, "pools.a has no value 'imgae'. Did you mean 'image'? Known: affinity, "),
        (
            {"pools": {"a": {"image": "a:1", "autoscaling": {"maxReplica": 1}}}},
            "pools.a.autoscaling has no value 'maxReplica'. Did you mean 'maxReplicas'?",
        ),
        ({"poolDefaults": {"replica": 1}}, "poolDefaults has no value 'replica'. Did you mean 'replicas'?"),
        ({"server": {"recources": {}}}, "server has no value 'recources'. Did you mean 'resources'?"),
        ({"hub": {"persistence": {"siez": "1Gi"}}}, "hub.persistence has no value 'siez'. Did you mean 'size'?"),
        ({"networkpolicy": {}}, "The chart has no value 'networkpolicy'. Did you mean 'networkPolicy'?"),
        ({"xyz": 1}, "The chart has no value 'xyz'. Known: fullnameOverride, "),
        (
            {},
            "The release has no pool. Set pools.NAME.image to the image that its tasks run in",
        ),
        ({"pools": {"a": {}}}, "The pool 'a' has no image. Set pools.a.image to the image that its tasks run in."),
        (
            {"pools": {"a": {"image": "a:1", "autoscaling": {"minReplicas": 5}}}},
            "The pool 'a' has autoscaling.minReplicas 5, which is above its maxReplicas 4.",
        ),
        ({"pools": {"a": {"image": "a:1", "gpus": "two"}}}, "at '/pools/a/gpus': got string, want integer"),
        ({"pools": {"A": {"image": "a:1"}}}, "'A' does not match pattern"),
        ({"pools": {"hub": {"image": "a:1"}}}, "invalid propertyName 'hub'"),
        ({"image": {"pullPolicy": "always"}}, "value must be one of 'IfNotPresent', 'Always', 'Never'"),
        ({"image": {"digest": "0123"}}, "at '/image/digest': '0123' does not match pattern"),
        ({"pools": {"a": {"image": "a:1", "resources": {"limit": {}}}}}, "additional properties 'limit' not allowed"),
    ],
)
def test_values_with_a_mistake_are_refused_in_words(values, words):
    assert words in refusal(values)


def test_notes_say_how_a_driver_comes_in():
    text = helm("install", "demo", CHART, "--dry-run=client", "--namespace", "team", values=DIGITS)
    notes = text.partition("NOTES:\n")[2]
    assert "digits: digits:0.1, 0 to 4 pods" in notes
    assert re.search(r'ExistingPool\("kubernetes://team/demo", key="NAME\.json"\)', notes)


SERVE = {
    **DIGITS,
    "serve": {
        "enabled": True,
        "apiKeysSecret": "api-keys",
        "models": {"digits": {"module": "digits", "options": {"timeout": 10}}},
        "ingress": {"enabled": True, "host": "models.example.org", "tlsSecret": "models-tls"},
        "autoscaling": {"enabled": True},
        "serviceMonitor": {"enabled": True},
        "podDisruptionBudget": {"enabled": True},
    },
}


def test_release_that_serves_models_has_settings_that_the_command_accepts():
    objects = render(SERVE)
    config = ServeConfig(**json.loads(objects["ConfigMap", "demo-serve"]["data"]["serve.json"]))
    (model,) = config.models
    assert (model.name, model.timeout, model.versions[0].module) == ("digits", 10, "digits")
    assert model.versions[0].executor == config.executors[0].label == "digits"
    assert config.http.key_file == "/etc/cnflow/api-keys/keys"
    kinds = {kind for kind, name in objects if name == "demo-serve"}
    assert kinds >= {
        "Deployment",
        "HorizontalPodAutoscaler",
        "Ingress",
        "PodDisruptionBudget",
        "Service",
        "ServiceMonitor",
    }
    pod = objects["Deployment", "demo-serve"]["spec"]["template"]
    assert pod["spec"]["terminationGracePeriodSeconds"] >= config.http.drain_delay + config.http.drain_timeout
    assert pod["metadata"]["labels"]["cnflow.org/client"] == "true", "the network policy lets it reach the pools"


@pytest.mark.parametrize(
    ("serve", "words"),
    [
        ({"models": {}}, "there is no model"),
        ({"apiKeysSecret": ""}, "Who may call the models?"),
        ({"models": {"m": {"module": "m", "pool": "other"}}}, "serve.models.m runs in the pool 'other', which is none"),
        ({"replica": 2}, "Did you mean 'replicas'?"),
        ({"http": {"max_bodi": 1}}, "serve.http has no value 'max_bodi'. Did you mean 'max_body'?"),
        ({"http": {"drain_timeout": 300}}, "Set serve.drainPeriod in its place"),
        ({"http": {"api_keys": {"ann": "0123456789abcdef"}}}, "Set serve.apiKeysSecret in its place"),
        ({"http": {"tls_cert": "/tls.crt"}}, "Set serve.tlsSecret in its place"),
        ({"config": {"sink": []}}, "serve.config has no value 'sink'. Did you mean 'sinks'?"),
        ({"models": {"m": {"modul": "m"}}}, "serve.models.m has no value 'modul'. Did you mean 'module'?"),
        (
            {"models": {"m": {"module": "m", "options": {"timeot": 1}}}},
            "serve.models.m.options has no value 'timeot'. Did you mean 'timeout'?",
        ),
        (
            {"models": {"m": {"versions": [{"module": "m"}, {"module": "m", "wieght": 0}]}}},
            "serve.models.m.versions[1] has no value 'wieght'. Did you mean 'weight'?",
        ),
        ({"autoscaling": {"enabled": True, "minReplicas": 9}}, "minReplicas 9, which is above its maxReplicas 4"),
        ({"autoscaling": {"enabled": True, "targetCPU": 0}}, "Set targetCPU, targetCalls or metrics."),
        ({"resources": {"requests": {"cpu": None}}}, "serve.resources requests none. Set serve.resources.requests.cpu"),
    ],
)
def test_models_that_cannot_be_served_are_refused_in_words(serve, words):
    own = {name: value for name, value in SERVE["serve"].items() if name not in serve}
    assert words in refusal({**DIGITS, "serve": {**own, **serve}})


def test_pods_that_speak_tls_are_asked_by_https():
    serve = {**SERVE["serve"], "tlsSecret": "models-tls", "http": {"max_requests": 8, "docs": False}}
    objects = render({**DIGITS, "serve": serve})
    config = ServeConfig(**json.loads(objects["ConfigMap", "demo-serve"]["data"]["serve.json"]))
    assert (config.http.tls_cert, config.http.tls_key) == ("/etc/cnflow/tls/tls.crt", "/etc/cnflow/tls/tls.key")
    assert (config.http.max_requests, config.http.docs) == (8, False)
    container = container_of(objects["Deployment", "demo-serve"])
    probes = [container[f"{kind}Probe"]["httpGet"]["scheme"] for kind in ("startup", "liveness", "readiness")]
    assert probes == ["HTTPS"] * 3
    assert objects["ServiceMonitor", "demo-serve"]["spec"]["endpoints"][0]["scheme"] == "https"
    assert objects["Service", "demo-serve"]["spec"]["ports"][0]["appProtocol"] == "https"


def test_pods_that_serve_may_find_the_pools_and_nothing_else():
    """A driver finds them by the release's label, among all ConfigMaps."""
    (rule,) = render(SERVE)["Role", "demo-serve"]["rules"]
    assert rule == {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}
    pod = render(SERVE)["Deployment", "demo-serve"]["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "demo-serve"
    assert pod.get("automountServiceAccountToken", True)


def test_ingress_leads_to_models_and_not_to_metrics_or_changes():
    (rule,) = render(SERVE)["Ingress", "demo-serve"]["spec"]["rules"]
    paths = [each["path"] for each in rule["http"]["paths"]]
    assert {"/v1", "/v2"} <= set(paths)
    assert not [path for path in paths if path == "/" or path.startswith(("/metrics", "/admin"))]


def test_pods_that_serve_are_scaled_by_their_calls():
    scaling = {"enabled": True, "targetCPU": 0, "targetCalls": 20.5, "behavior": {"scaleUp": {"selectPolicy": "Max"}}}
    objects = render({**DIGITS, "serve": {**SERVE["serve"], "autoscaling": scaling}})
    scaler = objects["HorizontalPodAutoscaler", "demo-serve"]["spec"]
    target = {"type": "AverageValue", "averageValue": "20500m"}
    assert scaler["metrics"] == [{"type": "Pods", "pods": {"metric": {"name": CALLS_NOW.name}, "target": target}}]
    assert scaler["behavior"] == {"scaleUp": {"selectPolicy": "Max"}}
    assert "replicas" not in objects["Deployment", "demo-serve"]["spec"]


def test_number_of_pods_that_serve_can_be_left_to_others():
    serve = {**SERVE["serve"], "autoscaling": {"enabled": False}, "replicas": None}
    assert "replicas" not in render({**DIGITS, "serve": serve})["Deployment", "demo-serve"]["spec"]


def unknown_fields(value, kind, path):
    """Yield the path of each field of *value* that the type *kind* of Kubernetes' API does not have."""
    listed = re.fullmatch(r"(?i:list|dict)[\[(](?:str, )?(.+)[\])]", kind)
    if listed:
        below = value.items() if isinstance(value, dict) else enumerate(value)
        for name, each in below:
            yield from unknown_fields(each, listed[1], f"{path}.{name}")
    elif hasattr(kubernetes.client, kind) and isinstance(value, dict):
        model = getattr(kubernetes.client, kind)
        names = {field: name for name, field in model.attribute_map.items()}
        for field, each in value.items():
            if field not in names:
                yield f"{path}.{field}"
            elif each is not None:
                yield from unknown_fields(each, model.openapi_types[names[field]], f"{path}.{field}")


KINDS = {"HorizontalPodAutoscaler": "V2HorizontalPodAutoscaler", "ServiceMonitor": ""}


def test_objects_have_no_field_that_kubernetes_does_not_know():
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 60}}
    scaling = {"enabled": True, "targetCalls": 20, "behavior": behavior}
    serve = {**SERVE["serve"], "tlsSecret": "models-tls", "autoscaling": scaling}
    found = []
    for (kind, name), each in render(
        {**ALL, "serve": {**serve, "models": {"m": {"module": "m", "pool": "gpu"}}}}
    ).items():
        found += unknown_fields(each, KINDS.get(kind, f"V1{kind}"), f"{kind} {name}")
    assert found == []
    wrong = {"spec": {"template": {"spec": {"containers": [{"ports": [{"port": 1}]}]}}}}
    assert list(unknown_fields(wrong, "V1Deployment", "d")) == ["d.spec.template.spec.containers.0.ports.0.port"]
