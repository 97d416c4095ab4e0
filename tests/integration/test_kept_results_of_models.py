"""Results of models that stay on their nodes, in a run of its own."""

import time

import cnflow
from cnflow import Config, model_app
from cnflow.executors import HighThroughputExecutor


@model_app(max_batch=16)
class Sizes:
    """Answers each row with a text of that many characters."""

    def predict(self, rows):
        time.sleep(1 if "sleep" in rows else 0)
        return ["x" * (5 if row == "sleep" else row) for row in rows]


def test_results_that_stay_on_their_node_are_those_of_their_own_calls(tmp_path):
    executor = HighThroughputExecutor(max_workers=1, keep_results_from=10_000)
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path), retries=0)):
        assert Sizes([1]).result(60) == ["x"]
        busy = Sizes(["sleep"])
        sizes = [3, 20_001, 4, 20_002, 20_003]
        futures = [Sizes([size]) for size in sizes]
        assert busy.result(60) == ["xxxxx"]
        assert [len(future.result(60)[0]) for future in futures] == sizes
