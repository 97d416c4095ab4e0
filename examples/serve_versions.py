"""Brings a new version of a model to its callers step by step, and back, while they ask without a pause.

calls ──> rent ─┬─ 9 of 10 ──> version 1      a canary: a share of the calls goes to version 2
                └─ 1 of 10 ──> version 2      then all of them, then back
"""

import collections
import json
import threading
import urllib.request

import cnflow
from cnflow import model_app
from cnflow.config import ModelConfig, VersionConfig
from cnflow.executors import HighThroughputExecutor


@model_app
def first(areas: list[float]) -> list[float]:
    """Return the rent of each flat, at the old rate."""
    return [10.0 * area for area in areas]


@model_app
def second(areas: list[float]) -> list[float]:
    """Return the rent of each flat, at the new rate."""
    return [12.0 * area for area in areas]


RENT = ModelConfig(
    name="rent",
    versions=[VersionConfig(version="1", app=first), VersionConfig(version="2", app=second, weight=0)],
)


class Callers:
    """Ask without a pause until `close`, and count which version answers."""

    def __init__(self, url: str) -> None:
        self.counts: collections.Counter[str] = collections.Counter()
        self._url = url
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(4)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        while not self._ends.is_set():
            request = urllib.request.Request(self._url, b"[50]", {"Content-Type": "application/json"})
            with urllib.request.urlopen(request) as response:  # raises if a call fails
                version, (rent,) = response.headers["X-Model-Version"], json.load(response)
            assert rent == {"1": 500.0, "2": 600.0}[version]
            self.counts[version] += 1

    def share_of_second(self, calls: int = 100) -> float:
        """Return the share of the next *calls* that version 2 answers."""
        before = self.counts.copy()
        while sum((self.counts - before).values()) < calls:
            threading.Event().wait(0.01)
        seen = self.counts - before
        return seen["2"] / sum(seen.values())

    def close(self) -> None:
        """Stop asking."""
        self._ends.set()
        for thread in self._threads:
            thread.join()


def main() -> None:
    """Move calls from one version to the other, and back."""
    executors = [HighThroughputExecutor(max_workers=2)]
    with cnflow.Serve(RENT, executors=executors, port=0) as serve:
        serve.wait_until_ready()
        callers = Callers(f"{serve.url}/v1/models/rent:predict")
        try:
            print(f"at first: {callers.share_of_second():.0%} of the calls go to version 2")
            serve.command("weights", model="rent", weights={"1": 9, "2": 1})
            print(f"canary: {callers.share_of_second():.0%}")
            serve.command("roll", model="rent", version="2")
            callers.share_of_second(20)  # those that were under way
            print(f"rolled: {callers.share_of_second():.0%}")
            serve.command("back", model="rent")
            callers.share_of_second(20)
            print(f"back: {callers.share_of_second():.0%}")
        finally:
            callers.close()
        print("no call has failed")


if __name__ == "__main__":
    main()
