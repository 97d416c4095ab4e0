"""A release of the chart that serves models, on the real cluster: calls through its Service while pods come and go."""

import base64
import contextlib
import http.client
import json
import ssl
import subprocess
import threading

import pytest

from tests.services.helm_release import SMALL
from tests.services.kubernetes_cluster import wait_until

# `long`: each waits for the pods of a release and then for those of an upgrade, together more than a minute.
pytestmark = [
    pytest.mark.kubernetes,
    pytest.mark.helm,
    pytest.mark.docker,
    pytest.mark.long,
    pytest.mark.timeout(300),
]

KEY = "0123456789abcdef"
MODELS = {
    "twice.py": "def predict(rows):\n    return [2 * row for row in rows]\n",
    "thrice.py": "def predict(rows):\n    return [3 * row for row in rows]\n",
}


class Clients:
    """Clients that call through the Service without a pause, each over a connection that it keeps while it may.

    Attributes:
        answers: factor by which the model has multiplied, of each call, in order.
        failures: what went wrong, of each call that was not answered with 200.
    """

    def __init__(self, address, context=None, count=3):
        self.answers = []
        self.failures = []
        self._address = address
        self._context = context
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(count)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._is_over.set()
        for thread in self._threads:
            thread.join(70)

    def more(self, count):
        wanted = len(self.answers) + count
        wait_until(lambda: len(self.answers) >= wanted or self.failures)
        assert self.failures == []

    def _run(self):
        connection = connect(self._address, self._context)
        with contextlib.closing(connection):
            while not self._is_over.wait(0.03):
                try:
                    status, body = call(connection, [7])
                except (OSError, http.client.HTTPException) as error:
                    self.failures.append(repr(error))
                    connection.close()
                    continue
                if status == 200:
                    self.answers.append(body["results"][0] / 7)
                else:
                    self.failures.append(f"{status}: {body}")


def connect(address, context=None):
    return (
        http.client.HTTPSConnection(*address, timeout=60, context=context)
        if context
        else http.client.HTTPConnection(*address, timeout=60)
    )


def call(connection, rows, key=KEY):
    """Status and JSON of an answer; the connection opens itself again after an answer that has closed it."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    connection.request("POST", "/v1/models/m:predict", json.dumps({"rows": rows}), headers)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def secret(name, **entries):
    data = {key.replace("_", "."): base64.b64encode(value).decode() for key, value in entries.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}


@pytest.fixture
def serving(release, pod_image):
    """Function that installs or upgrades the release with a pool whose pods have the models' modules."""
    models = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "models"}, "data": MODELS}
    keys = secret("api-keys", keys=f"test {KEY}\n".encode())
    release.cluster.apply(
        *({**each, "metadata": {**each["metadata"], "namespace": release.namespace}} for each in (models, keys))
    )
    main = {
        "image": pod_image,
        "autoscaling": {"minReplicas": 2, "maxReplicas": 2},
        "volumes": [{"name": "models", "configMap": {"name": "models"}}],
        "volumeMounts": [{"name": "models", "mountPath": "/models"}],
        "env": [{"name": "PYTHONPATH", "value": "/models"}],
    }

    def install(module, order="upgrade", pool=None, **serve):
        given = {"enabled": True, "apiKeysSecret": "api-keys", "replicas": 2, "drainDelay": 2, "drainPeriod": 10}
        given |= {"resources": SMALL, "models": {"m": {"module": module}}, **serve}
        release.install(order, serve=given, wait=order == "upgrade", main={**main, **(pool or {})})
        if order == "install":
            release.key("serve")  # waits for the server, which has just been installed
            rollout(release)
        (service,) = release.cluster.get("service", f"{release.name}-serve", namespace=release.namespace)
        return service["spec"]["clusterIP"], service["spec"]["ports"][0]["port"]

    return install


def rollout(release):
    release.kubectl("rollout", "status", f"deployment/{release.name}-serve", "--timeout=120s")


def pods_of(release):
    found = release.cluster.get("pods", "-l", "app.kubernetes.io/component=serve", namespace=release.namespace)
    return {pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"]}


def test_upgrade_to_another_version_and_the_end_of_a_pod_lose_no_request(release, serving):
    address = serving("twice", "install")
    first = pods_of(release)
    assert len(first) == 2
    with Clients(address) as clients:
        clients.more(20)
        serving("thrice")
        clients.more(20)
        assert not pods_of(release) & first
        release.kubectl("delete", "pod", min(pods_of(release)), "--wait=false")
        clients.more(20)
        rollout(release)
    assert clients.failures == []
    assert set(clients.answers) == {2.0, 3.0}
    assert clients.answers[-1] == 3.0
    status = json.loads(
        release.kubectl("exec", f"deploy/{release.name}-serve", "--", "cnflow", "serve", "status", "--json")
    )
    assert status["is_ready"]
    assert [each["state"] for each in status["models"][0]["versions"]] == ["ready"]


def test_server_of_the_pools_and_their_pods_are_replaced_without_a_failed_call(release, serving):
    address = serving("twice", "install")
    with Clients(address) as clients:
        clients.more(20)
        release.kubectl("delete", "pod", "-l", "app.kubernetes.io/component=server", "--wait=false")
        clients.more(200)
        serving("twice", pool={"podLabels": {"upgraded": "yes"}})
        clients.more(200)
    assert clients.failures == []


def test_version_that_cannot_be_loaded_leaves_the_pods_of_the_one_before(release, serving):
    address = serving("twice", "install")
    before = pods_of(release)
    release.kubectl("patch", "configmap", f"{release.name}-serve", "--type=merge", "-p", json.dumps(broken(release)))
    release.kubectl("rollout", "restart", f"deployment/{release.name}-serve")
    wait_until(lambda: pods_of(release) - before)
    (newer,) = pods_of(release) - before
    wait_until(lambda: "nothing_here" in release.kubectl("logs", newer, check=False))
    with contextlib.closing(connect(address)) as connection:
        assert [call(connection, [1])[0] for _ in range(10)] == [200] * 10
    assert before <= pods_of(release)


def broken(release):
    """The settings of the pods with a module that is not there."""
    (found,) = release.cluster.get("configmap", f"{release.name}-serve", namespace=release.namespace)
    settings = json.loads(found["data"]["serve.json"])
    settings["models"][0]["versions"][0]["module"] = "nothing_here"
    return {"data": {"serve.json": json.dumps(settings)}}


def certificate(folder, name):
    """Paths of a certificate for *name* that signs itself, and of its key."""
    cert, key = folder / "tls.crt", folder / "tls.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += [
        "-keyout",
        key,
        "-out",
        cert,
        "-days",
        "2",
        "-subj",
        f"/CN={name}",
        "-addext",
        f"subjectAltName=DNS:{name}",
    ]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


def test_pods_speak_tls_and_the_cluster_takes_every_object_that_a_release_may_have(release, serving, tmp_path):
    cert, key = certificate(tmp_path, "models.example.org")
    tls = secret("models-tls", tls_crt=cert.read_bytes(), tls_key=key.read_bytes())
    tls |= {"type": "kubernetes.io/tls", "metadata": {"name": "models-tls", "namespace": release.namespace}}
    release.cluster.apply(tls)
    address = serving(
        "twice",
        "install",
        tlsSecret="models-tls",
        fronts=2,
        ingress={"enabled": True, "host": "models.example.org", "tlsSecret": "models-tls"},
        autoscaling={
            "enabled": True,
            "minReplicas": 2,
            "targetCalls": 20.5,
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}},
        },
    )
    context = ssl.create_default_context(cafile=cert)
    context.check_hostname = False  # it is called by the address of its Service
    with contextlib.closing(connect(address, context)) as connection:
        assert call(connection, [7]) == (200, {"results": [14]})
        assert call(connection, [7], key="wrong-key-of-nobody")[0] == 401
    (budget,) = release.cluster.get("pdb", f"{release.name}-serve", namespace=release.namespace)
    assert budget["spec"]["maxUnavailable"] == 1
    (ingress,) = release.cluster.get("ingress", f"{release.name}-serve", namespace=release.namespace)
    paths = [each["path"] for each in ingress["spec"]["rules"][0]["http"]["paths"]]
    assert "/v1" in paths
    assert not [path for path in paths if "/metrics".startswith(path)]

    def conditions():
        (scaler,) = release.cluster.get("hpa", f"{release.name}-serve", namespace=release.namespace)
        return {each["type"]: each for each in scaler.get("status", {}).get("conditions", [])}

    found = wait_until(lambda: "ScalingActive" in conditions() and conditions())
    assert found["AbleToScale"]["status"] == "True"
    # The cluster of the tests has neither metrics-server nor an adapter: the controller says so, and keeps the pods.
    assert found["ScalingActive"]["reason"] in {"FailedGetResourceMetric", "FailedGetPodsMetric"}


def test_values_that_the_server_would_refuse_change_nothing(release, pod_image):
    with pytest.raises(Exception, match="Did you mean 'max_body'"):
        release.install(
            serve={"enabled": True, "allowAnyone": True, "models": {"m": {"module": "m"}}, "http": {"max_bodi": 1}},
            main={"image": pod_image},
        )
    assert not release.cluster.objects(release.namespace)
