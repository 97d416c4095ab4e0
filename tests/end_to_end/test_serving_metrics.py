"""Figures of a server with two front processes, one of which is killed."""

import os
import re
import signal
import time
import urllib.error
import urllib.request

import cnflow
from cnflow import model_app
from cnflow.executors import HighThroughputExecutor
from cnflow.monitoring.queries.reader import Reader


@model_app
def double(rows: list[int]) -> list[int]:
    return [2 * row for row in rows]


def answered(url, least):
    """Number of requests in the text, once it is *least*: counts of other fronts come every second."""
    text, ends = "", time.monotonic() + 30
    while time.monotonic() < ends:
        text = read(f"{url}/metrics")
        found = re.search(
            r'^cnflow_serving_requests_total\{model="double",version="1",status="200"\} (\d+)$', text, re.MULTILINE
        )
        if found and int(found[1]) >= least:
            return int(found[1]), text
        time.sleep(0.1)
    raise AssertionError(text)


def read(url, body=None):
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    for _ in range(100):
        try:
            with urllib.request.urlopen(request) as response:
                return response.read().decode()
        except (ConnectionError, urllib.error.URLError) as error:  # accepted by the front that was killed
            if isinstance(error, urllib.error.HTTPError):
                raise
            time.sleep(0.1)
    raise AssertionError("no front answers")


def test_metrics_and_record_have_the_counts_of_all_fronts_also_of_one_that_was_killed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    executors = [HighThroughputExecutor(max_workers=1)]
    runs = tmp_path / "runs"
    with cnflow.Serve(double, executors=executors, run_dir=str(runs), port=0, fronts=2, monitoring=True) as serve:
        serve.wait_until_ready(60)
        url = f"{serve.url}/v1/models/double:predict"
        for _ in range(20):
            assert read(url, b"[1]") == "[2]"
        assert answered(serve.url, 20)[0] == 20
        time.sleep(1.5)  # each front has reported
        os.kill(serve.status()["fronts"][0]["pid"], signal.SIGKILL)
        for _ in range(5):
            read(url, b"[1]")
        count, text = answered(serve.url, 25)
        assert count == 25
        assert 'cnflow_serving_calls_total{model="double",version="1",code="ok"} 25' in text
        assert re.search(r'^cnflow_serving_batch_rows_sum\{model="double",version="1"\} 25$', text, re.MULTILINE)
        assert "\ncnflow_serving_ready 1\n" in text
    reader = Reader(str(runs / "monitoring.db"))
    (version,) = reader.models("")
    assert (version.model, version.version, version.state, version.requests) == ("double", "1", "gone", 25)
    assert (version.errors, version.rows, version.batches) == (0, 25, 25)
    assert version.latency[0] is not None
    assert version.batch_sizes == [(1.0, 25)]
    assert sum(step.requests for step in reader.model_steps("")) == 25
    happened = [(change.version, change.state) for change in reversed(reader.model_changes(""))]
    assert {("1", "loading"), ("1", "ready"), ("", "weights"), ("1", "loaded")} <= {*happened}
    assert happened[-1] == ("1", "gone")
    reader.close()
