"""The provider for Kubernetes on a real cluster: the shipped contract, for Jobs and for bare pods."""

import pytest

from cnflow.config.kubernetes import KubernetesProvider
from cnflow.ids import NativeId
from cnflow.providers.kubernetes.provider import KubernetesBackend
from cnflow.testing.contracts.provider import ProviderContract
from cnflow.testing.contracts.provider_data import ProviderDataContract

pytestmark = pytest.mark.kubernetes


class KubernetesContract(ProviderContract, ProviderDataContract):
    workload = "job"
    refused_image = pytest.fixture(lambda _: "")
    unknown_block = pytest.fixture(lambda _: NativeId("cnflow-none-htex-7"))
    submit_limit = pytest.fixture(lambda _: 20.0)  # the first block brings cnflow's code into the namespace

    @pytest.fixture
    def settings(self, cluster, namespace, pod_image):
        return KubernetesProvider(
            kubeconfig=cluster.kubeconfig, namespace=namespace, image=pod_image, workload=self.workload
        )

    @pytest.fixture
    def image(self, pod_image):
        return pod_image

    @pytest.fixture
    def traits(self, settings):
        return settings.traits()

    @pytest.fixture
    def make_provider(self, settings):
        return lambda environment: KubernetesBackend(settings.model_copy(update={"environment": dict(environment)}))


class TestJobs(KubernetesContract):
    """Blocks are Jobs."""


@pytest.mark.long
class TestBarePods(KubernetesContract):
    """Blocks are pods without Jobs, for users who may not make these."""

    workload = "pod"
