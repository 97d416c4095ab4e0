"""Rolls between images as users have them: tags that move, images that are not there or cannot serve."""

import io
import uuid

import pytest

import cnflow
from cnflow.config import DockerProvider, HighThroughputExecutor, ModelConfig, ServeConfig
from cnflow.serving.service import ServingError
from tests.served import predict

pytestmark = [pytest.mark.docker, pytest.mark.serving, pytest.mark.timeout(180)]

MODEL = r"""
ENV PYTHONPATH=/srv
RUN mkdir -p /srv && printf 'def predict(rows):\n    return ["{answer}"] * len(rows)\n' > /srv/{module}.py
"""


@pytest.fixture
def tag(engine, image_base):
    """Builds a model that returns *answer* under a tag, also one that another image has: ``tag(name, answer)``."""
    run, names = uuid.uuid4().hex[:8], set()

    def build(name, answer, module="moved"):
        reference = f"cnflow-test-{run}:{name}"
        content = f"FROM {image_base}{MODEL.format(answer=answer, module=module)}"
        engine.images.build(fileobj=io.BytesIO(content.encode()), tag=reference, rm=True)
        names.add(reference)
        return reference

    yield build
    for each in names:
        engine.images.remove(each, force=True)


def test_roll_runs_what_a_tag_is_now_and_one_that_cannot_work_leaves_all_as_it_was(tag, tmp_path):
    image = tag("latest", "one")
    config = ServeConfig(
        models=[ModelConfig(name="moved", image=image, module="moved")],
        executors=[HighThroughputExecutor(provider=DockerProvider(), max_workers=1)],
        run_dir=str(tmp_path),
        strategy="none",
    )
    with cnflow.Serve(config=config, port=0) as server:

        def answer():
            found = predict(server.url, "moved", [1], timeout=120)
            assert found.status == 200, found.body
            return found.json["results"][0]

        def roll(image):
            return server.command("roll", model="moved", image=image)

        assert answer() == "one"
        assert "goes_on" not in roll(image)
        assert len(server.status()["models"][0]["versions"]) == 1, "the tag is as it was"
        tag("latest", "two")
        roll(image)
        assert answer() == "two"
        server.command("back", model="moved")
        assert answer() == "one"
        roll(image)
        assert answer() == "two"
        versions = server.status()["models"][0]["versions"]
        assert len({each["digest"] for each in versions}) == len(versions) == 2

        absent = image.replace("latest", "absent")
        with pytest.raises(ServingError, match=absent):
            roll(absent)
        with pytest.raises(ServingError, match=r"stay where they are.*moved"):
            roll(tag("lacking", "none", module="other"))
        assert answer() == "two"
        tag("absent", "three")
        roll(absent)
        assert answer() == "three"
