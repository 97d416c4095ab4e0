"""Shows how calls that come at the same time share one call of ``predict``.

    64 clients, a row each ──> front ──> manager: rows that wait become a batch ──> worker: predict([row, ..., row])

The model takes 20 ms however many rows it gets, as one that runs on an accelerator does. One by one, its worker would
answer 50 rows a second.
"""

import concurrent.futures
import json
import re
import time
import urllib.request

import cnflow
from cnflow import model_app
from cnflow.executors import HighThroughputExecutor

CLIENTS, CALLS = 64, 10


@model_app(max_batch=64, max_wait=0.005)
def double(rows: list[int]) -> list[int]:
    """Return twice each row."""
    import time

    time.sleep(0.02)
    return [2 * row for row in rows]


def ask(url: str, row: int) -> None:
    """Ask for one row several times; each answer must be that of its own row."""
    for _ in range(CALLS):
        request = urllib.request.Request(url, json.dumps([row]).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as response:
            assert json.load(response) == [2 * row]


def mean_batch(url: str) -> float:
    """Return the mean number of rows of a batch, by the metrics of the server."""
    with urllib.request.urlopen(f"{url}/metrics") as response:
        text = response.read().decode()
    found = dict(re.findall(r"^cnflow_serving_batch_rows_(sum|count)\{.*\} (\S+)$", text, re.MULTILINE))
    return float(found["sum"]) / float(found["count"])


def main() -> None:
    """Let many clients ask at the same time."""
    executors = [HighThroughputExecutor(max_workers=1)]
    with cnflow.Serve(double, executors=executors, port=0) as serve:
        serve.wait_until_ready()
        url, began = f"{serve.url}/v1/models/double:predict", time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
            list(clients.map(ask, [url] * CLIENTS, range(CLIENTS)))
        rate = CLIENTS * CALLS / (time.perf_counter() - began)
        mean = mean_batch(serve.url)
    print(f"{rate:.0f} rows/s from one worker, {mean:.1f} rows in a batch (50 rows/s without batches)")
    if mean < 2:  # noqa: PLR2004 - they do share
        raise SystemExit(1)


if __name__ == "__main__":
    main()
