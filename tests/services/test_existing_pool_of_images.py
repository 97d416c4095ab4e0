"""Pools of images beside a provider of containers: each app goes where its image is."""

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.config import DockerProvider, ExistingPool, HighThroughputExecutor
from tests.standing_pool import StandingPool

pytestmark = [pytest.mark.docker, pytest.mark.sshd, pytest.mark.timeout(300)]


@pytest.fixture
def other_name(base_name):
    """The same image under another name."""
    import docker

    name = "cnflow-test-other:1"
    client = docker.from_env()
    client.images.get(base_name).tag(name)
    yield name
    client.images.remove(name, noprune=True)
    client.close()


def test_app_goes_to_the_pool_of_its_image_else_to_a_template(base_name, other_name, sshd, tmp_path):
    pools = [
        {"name": "bare", "max_workers": 1, "provider": {"kind": "local"}},
        {"name": "images", "image": base_name, "max_workers": 1, "provider": {"kind": "docker", "pull": "never"}},
    ]

    @python_app
    def bare():
        return "bare"

    @python_app(image=base_name)
    def pooled():
        return "pooled"

    @python_app(image=other_name)
    def elsewhere():
        return "elsewhere"

    with StandingPool(tmp_path, pools) as pool:
        words = ["-i", str(sshd.folder / "user"), *sshd.options()]
        address = f"ssh://127.0.0.1:{sshd.port}{pool.folder}"
        provider = ExistingPool(address, key=pool.key("ann"), ssh_options=words)
        shared = HighThroughputExecutor(label="shared", provider=provider)
        own = HighThroughputExecutor(label="own", provider=DockerProvider(pull="never"))
        with cnflow.load(Config(run_dir=str(tmp_path / "runs"), executors=[own, shared])):
            futures = [bare(), pooled(), elsewhere()]
            assert [each.result() for each in futures] == ["bare", "pooled", "elsewhere"]
            executors = [each.provenance.executor for each in futures]
            images = [each.provenance.image for each in futures]
        assert executors[0] == "shared"
        assert executors[1].startswith("shared-")
        assert executors[2].startswith("own-")
        assert images == ["", base_name, other_name]
