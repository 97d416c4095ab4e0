"""The shipped contract of a provider, and the delivery of a manager's settings, on each provider that can run here."""

import json

import pytest

from cnflow.channels import LocalChannel
from cnflow.config import DockerProvider, LocalProvider
from cnflow.ids import NativeId
from cnflow.model.block import BlockState, EndCause
from cnflow.model.node_command import NodeCommand
from cnflow.providers import AdHocProvider
from cnflow.providers.ad_hoc.provider import AdHocBackend
from cnflow.providers.docker.provider import DockerBackend
from cnflow.providers.local.provider import LocalBackend
from cnflow.testing import FakeProvider, FakeProviderSettings, FakeSystem, FaultyProvider, Script
from cnflow.testing.contracts.provider import ProviderContract, submit_one
from cnflow.testing.contracts.provider_data import LINES, ProviderDataContract
from cnflow.testing.fakes import FAILS


class ManagerContract:
    """Promises about the manager that a block runs, beyond the shipped contract; a stand-in reports in its place."""

    @pytest.fixture
    def started(self, make_provider, request_for, image, report_of):
        """A running block: its provider, its id, its request, and the report of its manager."""
        provider, request = make_provider({}), request_for(image)
        block = submit_one(provider, request)
        yield provider, block, request, report_of(request)
        provider.cancel([block])
        provider.close()

    def test_the_output_of_a_manager_lands_in_the_log_file_while_it_runs(self, started):
        _, _, request, report = started
        assert report["block"] == request.block

    def test_the_settings_are_a_file_that_only_the_manager_can_read(self, started):
        _, _, _, report = started
        assert report["mode"] == "0o600"
        assert report["owner"] == report["uid"]
        assert "S3CRET" not in json.dumps(report)

    def test_a_failed_manager_is_reported_with_exit_code_and_last_words(self, make_provider, request_for, image, until):
        provider = make_provider({"FAKE_MANAGER": "exit"})
        block = submit_one(provider, request_for(image))
        status = until(lambda: (now := provider.status([block])[block]).state.is_final and now)
        assert status.state is BlockState.FAILED
        assert (status.exit_code, status.cause) == (3, EndCause.OTHER)
        assert "exited with code 3" in status.message
        assert "cannot go on" in status.message
        provider.cancel([block])
        provider.close()

    def test_a_manager_that_does_not_end_when_asked_is_killed(self, make_provider, request_for, image, report_of):
        provider, request = make_provider({"FAKE_MANAGER": "stubborn"}), request_for(image)
        block = submit_one(provider, request)
        report_of(request)
        provider.cancel([block])
        assert provider.status([block])[block].state.is_final
        provider.close()

    def test_a_preview_of_a_manager_shows_no_key(self, make_provider, request_for, image):
        shown = json.dumps(make_provider({}).preview(request_for(image)))
        assert "__main__.py" in shown
        assert "S3CRET" not in shown


class TestLocalProvider(ProviderContract, ProviderDataContract, ManagerContract):
    refused_image = pytest.fixture(lambda _: "app1:0.1")
    unknown_block = pytest.fixture(lambda _: NativeId("999999999:1"))
    traits = pytest.fixture(lambda _: LocalProvider().traits())

    @pytest.fixture
    def make_provider(self, fake_root):
        return lambda environment: LocalBackend(LocalProvider(environment=environment), root=fake_root)


class OtherHost(LocalChannel):
    """This machine under another name."""

    number: int = 0


class TestAdHocProvider(ProviderContract, ProviderDataContract):
    """Hosts are this machine; tests/services has real ones."""

    refused_image = pytest.fixture(lambda _: "app1:0.1")
    unknown_block = pytest.fixture(lambda _: NativeId("this machine:run/cnflow-run-htex-7"))
    submit_limit = pytest.fixture(lambda _: 20.0)

    @pytest.fixture
    def settings(self, tmp_path):
        hosts = [OtherHost(number=number) for number in range(3)]
        return AdHocProvider(hosts=hosts, site_dir=str(tmp_path / "site"))

    @pytest.fixture
    def traits(self, settings):
        return settings.traits()

    @pytest.fixture
    def make_provider(self, settings):
        return lambda environment: AdHocBackend(settings.model_copy(update={"environment": dict(environment)}))


@pytest.mark.engines
class TestDockerProvider(ProviderContract, ProviderDataContract, ManagerContract):
    submit_limit = pytest.fixture(lambda _: 20.0)  # three containers get a copy of the code each
    refused_image = pytest.fixture(lambda _: "")
    unknown_block = pytest.fixture(lambda _: NativeId("0" * 64))
    traits = pytest.fixture(lambda _: DockerProvider().traits())

    @pytest.fixture
    def image(self, image_base):
        return image_base

    @pytest.fixture
    def make_provider(self, fake_root, capsule_cache):
        def make(environment):
            settings = DockerProvider(environment=environment)
            return DockerBackend(settings, cache_dir=capsule_cache, folder=lambda _kind, _cache: fake_root)

        return make


class TestFakeProvider(ProviderContract, ProviderDataContract):
    refused_image = pytest.fixture(lambda _: "app1:0.1")
    unknown_block = pytest.fixture(lambda _: NativeId("native-of-nobody"))
    traits = pytest.fixture(lambda _: FakeProviderSettings().traits())
    running_command = pytest.fixture(lambda _: NodeCommand(("ready",)))
    stubborn_command = pytest.fixture(lambda _: NodeCommand(("ready",)))
    failing_command = pytest.fixture(lambda _: NodeCommand((FAILS, "cannot go on", "3")))
    printing_command = pytest.fixture(lambda _: NodeCommand(("\n".join(LINES),)))
    delivers_files = False

    @pytest.fixture
    def make_provider(self):
        system = FakeSystem()
        return lambda environment: FakeProvider(FakeProviderSettings(environment=environment, has_watch=True), system)


class TestFaultyProviderWithoutFaults(TestFakeProvider):
    @pytest.fixture
    def make_provider(self):
        system = FakeSystem()

        def make(environment):
            settings = FakeProviderSettings(environment=environment, has_watch=True)
            return FaultyProvider(FakeProvider(settings, system), Script())

        return make


class TestFakeProviderOfImages(TestFakeProvider):
    image = pytest.fixture(lambda _: "app1:0.1")
    refused_image = pytest.fixture(lambda _: "")

    @pytest.fixture
    def make_provider(self):
        system, settings = FakeSystem(), FakeProviderSettings(runs_images=True)
        return lambda environment: FakeProvider(settings.model_copy(update={"environment": environment}), system)
