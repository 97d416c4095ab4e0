"""Sends traces through a real collector of OpenTelemetry, which hands them on to a server of the test."""

import json
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import cnflow
from cnflow.config import Config, HighThroughputExecutor, OpenTelemetrySink
from tests.conftest import SERVICES

pytestmark = pytest.mark.collector

CONFIG = """
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{receiver}"}}}}}}}}
exporters: {{otlp_http: {{endpoint: "http://127.0.0.1:{exporter}", encoding: json, compression: none}}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{traces: {{receivers: [otlp], exporters: [otlp_http]}}}}
"""


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture
def received():
    """Spans that the collector has handed on, and the port of the server that takes them."""
    spans = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            for resource in body["resourceSpans"]:
                named = attributes_of(resource["resource"])
                for scope in resource["scopeSpans"]:
                    spans.extend({**span, "service": named["service.name"]} for span in scope["spans"])
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield spans, server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def endpoint(tmp_path, received):
    """URL of a collector for traces."""
    port = free_port()
    config = tmp_path / "collector.yaml"
    config.write_text(CONFIG.format(receiver=port, exporter=received[1]))
    with (tmp_path / "collector.log").open("wb") as log:
        process = subprocess.Popen(
            [SERVICES / "collector" / "collector", "--config", f"file:{config}"], stdout=log, stderr=log
        )
    try:
        wait_for(lambda: is_open(port), (tmp_path / "collector.log").read_text)
        yield f"http://127.0.0.1:{port}/v1/traces"
    finally:
        process.terminate()
        process.wait(20)


def is_open(port):
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


def wait_for(condition, words=str):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, words()
        time.sleep(0.05)


def attributes_of(value):
    return {each["key"]: next(iter(each["value"].values())) for each in value["attributes"]}


@cnflow.python_app
def doubled(x):
    return 2 * x


@cnflow.python_app
def traceparent(_):
    import os

    return os.environ["TRACEPARENT"]


@cnflow.python_app
def fails():
    raise ValueError("no rows")


def test_collector_has_a_span_for_the_run_each_task_and_each_try(tmp_path, received, endpoint):
    spans, _ = received
    sink = OpenTelemetrySink(endpoint=endpoint, service_name="digits")
    executor = HighThroughputExecutor(max_workers=1)
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "runs"), retries=1, sinks=[sink])):
        first = doubled(2)
        context = traceparent(first).result(60)
        broken = fails()
        assert isinstance(broken.exception(60), ValueError)
    wait_for(lambda: len(spans) >= 8, lambda: str([span["name"] for span in spans]))
    by_name = {span["name"]: span for span in spans}
    assert len(spans) == len(by_name) == 8
    assert {span["traceId"] for span in spans} == {context.split("-")[1]}
    assert {span["service"] for span in spans} == {"digits"}
    (root,) = [span for span in spans if not span.get("parentSpanId")]
    assert root["name"].startswith("run ")
    tasks = [by_name[name] for name in ("doubled", "traceparent", "fails")]
    assert {span["parentSpanId"] for span in tasks} == {root["spanId"]}
    assert by_name["traceparent"]["spanId"] == context.split("-")[2]
    assert [link["spanId"] for link in by_name["traceparent"]["links"]] == [by_name["doubled"]["spanId"]]
    tries = [by_name["fails try 0"], by_name["fails try 1"]]
    assert {span["parentSpanId"] for span in tries} == {by_name["fails"]["spanId"]}
    for span in tries:
        (event,) = span["events"]
        assert attributes_of(event)["exception.type"].endswith("ValueError")
        assert "no rows" in attributes_of(event)["exception.message"]
        assert span["status"]["code"] == 2
    place = attributes_of(by_name["doubled try 0"])
    assert place["cnflow.block"]
    assert place["host.name"]
    assert all(int(span["endTimeUnixNano"]) >= int(span["startTimeUnixNano"]) for span in spans)


def test_collector_that_is_down_holds_no_run_up(tmp_path):
    sink = OpenTelemetrySink(endpoint=f"http://127.0.0.1:{free_port()}/v1/traces")
    begun = time.monotonic()
    with cnflow.load(Config(run_dir=str(tmp_path), sinks=[sink])):
        assert [future.result(60) for future in [doubled(n) for n in range(100)]] == [2 * n for n in range(100)]
    assert time.monotonic() - begun < 30
