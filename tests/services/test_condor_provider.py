"""The contracts of providers and of dialects on real HTCondor, whose pool shares no file with the driver."""

import contextlib
import subprocess
import time

import pytest

from cnflow.config import CondorProvider
from cnflow.ids import NativeId
from cnflow.providers.batch.provider import BatchBackend
from cnflow.testing.contracts.batch import BatchContract
from cnflow.testing.contracts.provider import ProviderContract
from cnflow.testing.contracts.provider_data import ProviderDataContract
from tests.services.docker_channel import ContainerChannel

POOL = ContainerChannel(container="cnflow-htcondor", user="user", folder="/home/user")


@pytest.mark.htcondor
@pytest.mark.timeout(300)
class TestCondor(ProviderContract, ProviderDataContract):
    """A block is a job in a slot of the pool's only machine."""

    refused_image = pytest.fixture(lambda _: "app1:0.1")
    unknown_block = pytest.fixture(lambda _: NativeId("999999.0"))
    submit_limit = pytest.fixture(lambda _: 30.0)
    patience = pytest.fixture(lambda _: 120.0)

    @pytest.fixture
    def settings(self):
        return CondorProvider(channel=POOL, site_dir="~/site", runtime="none", walltime=600, notice=3)

    @pytest.fixture
    def traits(self, settings):
        return settings.traits()

    @pytest.fixture
    def make_provider(self, settings):
        return lambda environment: BatchBackend(settings.model_copy(update={"environment": dict(environment)}))


@pytest.mark.htcondor
@pytest.mark.timeout(300)
class TestJobsOfCondor(BatchContract):
    held = pytest.fixture(lambda _: "hold = True")
    unknown_job = pytest.fixture(lambda _: NativeId("999999.0"))
    nodes = pytest.fixture(lambda _: 1)
    patience = pytest.fixture(lambda _: 120.0)

    @pytest.fixture
    def settings(self):
        return CondorProvider(channel=POOL, site_dir="~/site", runtime="none", notice=3, cmd_timeout=60)

    @pytest.fixture
    def scheduler_down(self):
        def signal(name):
            order = f'[ "$(cat $each/comm)" != condor_schedd ] || kill -{name} "${{each#/proc/}}"'
            script = f"for each in /proc/[0-9]*; do {order}; done 2>/dev/null"
            subprocess.run(["docker", "exec", POOL.container, "sh", "-c", script], check=True)

        @contextlib.contextmanager
        def down():
            signal("STOP")
            try:
                yield
            finally:
                signal("CONT")
                # It reads first, each for up to 20 s, from the clients that gave up meanwhile.
                asked = ["docker", "exec", POOL.container, "timeout", "200", "condor_q", "-allusers"]
                while subprocess.run(asked, capture_output=True, check=False).returncode:
                    time.sleep(1)

        return down
