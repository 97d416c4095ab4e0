"""A function that runs in a container. First `make images`, then `.venv/bin/python examples/hello.py`."""

import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import DockerProvider

cnflow.load(Config(executors=[HighThroughputExecutor(provider=DockerProvider(max_blocks=2))]))


@python_app(image="app1:0.1")
def predict(rows: list[float]) -> list[float]:
    """Score the rows with the model in the image."""
    import app1  # installed in the image

    return app1.predict(rows)


print(predict([1, 2, 3]).result())
