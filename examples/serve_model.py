"""Serves a model over HTTP, and asks it as any client would.

    client ── POST /v1/models/Rent:predict ──> front ──> worker: Rent().setup() once, then Rent.predict([flat, flat])

The class runs in two workers of this machine. With ``@model_app(image="...")`` and a DockerProvider it runs in
containers, and with another provider at a site or in a cloud; nothing else changes.
"""

import json
import urllib.error
import urllib.request

from pydantic import BaseModel

import cnflow
from cnflow import model_app
from cnflow.executors import HighThroughputExecutor


class Flat(BaseModel):
    """One row of a request."""

    area: float
    rooms: int


@model_app
class Rent:
    """Estimates rents."""

    def setup(self) -> None:
        """Load the weights; called once in each worker, before its first call."""
        self.weights = {"area": 11.0, "rooms": 40.0, "base": 150.0}

    def predict(self, flats: list[Flat]) -> list[float]:
        """Return the rent of each flat."""
        weights = self.weights
        return [flat.area * weights["area"] + flat.rooms * weights["rooms"] + weights["base"] for flat in flats]


def post(url: str, body: object) -> tuple[int, object]:
    """Send *body* as JSON, and return the status and the answer."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def main() -> None:
    """Serve, ask, and ask with a row that is wrong."""
    executors = [HighThroughputExecutor(max_workers=2)]
    with cnflow.Serve(Rent, executors=executors, port=0) as serve:
        serve.wait_until_ready()
        url = f"{serve.url}/v1/models/Rent:predict"
        status, rents = post(url, [{"area": 50, "rooms": 2}, {"area": 80, "rooms": 3}])
        print(status, rents)
        status, problem = post(url, [{"area": 50, "rooms": "two"}])
        print(status, problem["error"]["code"], problem["error"]["details"][0]["loc"])


if __name__ == "__main__":
    main()
