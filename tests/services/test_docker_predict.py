"""`cnflow.predict_app` in containers of images whose modules the driver does not have."""

import io
import sys
import uuid

import pytest

import cnflow
from cnflow import Config, predict_app
from cnflow.config import DockerProvider, HighThroughputExecutor
from cnflow.errors import PredictModuleError

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]

SCORES = """
weights = None

def setup():
    global weights
    weights = [] if weights is None else 1 / 0

def predict(rows):
    weights.append(len(rows))
    return [(row, len(weights)) for row in rows]
"""


@pytest.fixture
def image(engine, image_base):
    """An image with a module that has a setup of its own."""
    tag = f"cnflow-test-{uuid.uuid4().hex[:8]}:1"
    lines = SCORES.strip("\n").encode().hex()
    write = f"import pathlib; pathlib.Path('/srv/scores.py').write_bytes(bytes.fromhex('{lines}'))"
    dockerfile = f'FROM {image_base}\nRUN python3 -c "{write}"\nENV PYTHONPATH=/srv\n'
    engine.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag=tag, rm=True, forcerm=True)
    yield tag
    engine.images.remove(tag, force=True)


def test_module_of_an_image_is_set_up_once_and_its_mistakes_name_the_image(image, tmp_path):
    executor = HighThroughputExecutor(provider=DockerProvider(), max_workers=1)
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path))):
        predict = predict_app(image=image, module="scores", cache=True)
        assert predict([7, 8]).result(120) == [(7, 1), (8, 1)]
        assert predict([9]).result(60) == [(9, 2)]
        assert predict([9]).result(60) == [(9, 2)], "from the cache: another call would be the third"
        error = predict_app(image=image, module="socres")([1]).exception(60)
    assert isinstance(error, PredictModuleError)
    assert f"in image {image!r}" in str(error)
    assert "/srv" in str(error)
    assert "scores" not in sys.modules
