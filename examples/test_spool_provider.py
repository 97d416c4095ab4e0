"""Contract of a provider on the provider of spool_provider.py; run by ``pytest test_spool_provider.py``."""

import pytest
from spool_provider import SpoolBackend, SpoolProvider

from cnflow.ids import NativeId
from cnflow.testing.contracts.provider import ProviderContract
from cnflow.testing.contracts.provider_data import ProviderDataContract


class TestSpoolProvider(ProviderContract, ProviderDataContract):
    """Runs both parts of the contract."""

    @pytest.fixture
    def make_provider(self, tmp_path):
        spool = str(tmp_path / "spool")
        return lambda environment: SpoolBackend(SpoolProvider(spool=spool, environment=dict(environment)))

    @pytest.fixture
    def traits(self):
        return SpoolProvider().traits()

    @pytest.fixture
    def refused_image(self):
        return "python:3.12"

    @pytest.fixture
    def unknown_block(self):
        return NativeId("cnflow-no-such-job")
