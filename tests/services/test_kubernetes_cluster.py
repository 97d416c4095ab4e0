"""The cluster of the tests itself: what other tests take for granted."""

import socket
import urllib.request

import pytest

from tests.services.kubernetes_cluster import wait_until

pytestmark = pytest.mark.kubernetes


def finished(cluster, namespace, name):
    """The pod's phase and output once it has ended."""
    done = ("Succeeded", "Failed")
    pod = wait_until(
        lambda: next((p for p in cluster.get("pods", name, namespace=namespace) if p["status"]["phase"] in done), None)
    )
    return pod["status"]["phase"], cluster.kubectl("logs", name, "--namespace", namespace).strip()


def run(cluster, namespace, name, image, *command):
    cluster.kubectl("run", name, "--namespace", namespace, "--image", image, "--restart=Never", "--", *command)


def test_both_nodes_are_ready(cluster):
    conditions = [
        condition
        for node in cluster.get("nodes")
        for condition in node["status"]["conditions"]
        if condition["type"] == "Ready"
    ]
    assert [condition["status"] for condition in conditions] == ["True", "True"]


def test_pod_of_a_loaded_image_runs_its_python(cluster, namespace, pod_image):
    run(cluster, namespace, "python", pod_image, "python3", "-c", "print(6 * 7)")
    assert finished(cluster, namespace, "python") == ("Succeeded", "42")


def test_pod_resolves_services_and_reaches_this_machine(cluster, namespace, pod_image):
    listener = socket.create_server((cluster.host, 0))
    port = listener.getsockname()[1]
    code = (
        "import socket; print(socket.gethostbyname('kubernetes.default.svc.cluster.local').split('.')[0]);"
        f"socket.create_connection(('{cluster.host}', {port}), 5).send(b'hi')"
    )
    run(cluster, namespace, "dials", pod_image, "python3", "-c", code)
    assert finished(cluster, namespace, "dials") == ("Succeeded", "10")
    listener.settimeout(10)
    connection, address = listener.accept()
    assert connection.recv(2) == b"hi"
    assert address[0].startswith("10.244.")  # the pod's own address
    connection.close()
    listener.close()


def test_this_machine_reaches_pods_and_services(cluster, namespace):
    serve = "mkdir /w; echo page > /w/index.html; exec httpd -f -p 8080 -h /w"
    run(cluster, namespace, "web", "localhost/busybox:1", "sh", "-c", serve)
    cluster.kubectl("wait", "pod/web", "--for=condition=Ready", "--namespace", namespace, "--timeout=60s")
    cluster.kubectl("expose", "pod", "web", "--port=80", "--target-port=8080", "--namespace", namespace)
    service = cluster.get("services", "web", namespace=namespace)[0]["spec"]["clusterIP"]
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def page():
        try:
            with direct.open(f"http://{service}/", timeout=5) as reply:
                return reply.read()
        except OSError:
            return b""

    assert wait_until(page) == b"page\n"


@pytest.mark.helm
def test_helm_sees_the_cluster(cluster, namespace):
    assert cluster.helm("list", "--namespace", namespace, "-o", "json").strip() == "[]"
