"""What every provider promises (`cnflow.interfaces.Provider`), on each that can run here."""

import json
import tarfile

import pytest

from cnflow.config import DockerProvider, LocalProvider
from cnflow.errors import BlockRejectedError
from cnflow.ids import NativeId
from cnflow.model.block import BlockState
from cnflow.providers.docker import DockerBackend
from cnflow.providers.local.provider import LocalBackend


class ProviderContract:
    """Subclasses give the fixtures `make` (environment -> provider), `image`, `other_image` and `unknown`."""

    @pytest.fixture
    def provider(self, make):
        made = make({})
        yield made
        made.close()

    @pytest.fixture
    def started(self, provider, request_for, image, report_of):
        """A running block: its id, its request, and what its manager reported."""
        request = request_for(image)
        provider.prepare(image)
        block = provider.submit(request)
        yield block, request, report_of(request)
        provider.cancel([block])

    def test_a_block_runs_until_it_is_cancelled_and_then_is_gone(self, provider, started):
        block, _, _ = started
        assert provider.status([block])[block].state is BlockState.RUNNING
        provider.cancel([block])
        assert provider.status([block])[block].state.is_final

    def test_what_a_block_prints_lands_in_the_log_file_while_it_runs(self, started):
        _, request, report = started
        assert report["block"] == request.block

    def test_the_settings_are_a_file_that_only_the_manager_can_read(self, started):
        _, _, report = started
        assert report["mode"] == "0o600"
        assert report["owner"] == report["uid"]
        assert "S3CRET" not in json.dumps(report)

    def test_an_unknown_id_is_gone(self, provider, unknown):
        assert provider.status([unknown])[unknown].state is BlockState.GONE

    def test_an_unknown_id_may_be_cancelled(self, provider, unknown):
        provider.cancel([unknown])

    def test_a_block_may_be_cancelled_twice(self, provider, started):
        block, _, _ = started
        provider.cancel([block])
        provider.cancel([block])

    def test_a_provider_made_anew_knows_the_blocks_of_the_one_before_and_can_end_them(self, make, started, until):
        block, _, _ = started
        anew = make({})
        assert anew.status([block])[block].state is BlockState.RUNNING
        anew.cancel([block])
        until(lambda: anew.status([block])[block].state is BlockState.GONE)
        anew.close()

    def test_closing_leaves_blocks_as_they_are(self, make, request_for, image, report_of):
        first, second, request = make({}), make({}), request_for(image)
        block = first.submit(request)
        report_of(request)
        first.close()
        assert second.status([block])[block].state is BlockState.RUNNING
        second.cancel([block])
        second.close()
        first.cancel([block])

    def test_a_block_that_fails_is_told_of_with_its_exit_code_and_last_words(self, make, request_for, image, until):
        provider = make({"FAKE_MANAGER": "exit"})
        block = provider.submit(request_for(image))
        status = until(lambda: (now := provider.status([block])[block]).state.is_final and now)
        assert status.state is BlockState.FAILED
        assert "exited with code 3" in status.message
        assert "cannot go on" in status.message
        provider.cancel([block])
        provider.close()

    def test_a_manager_that_does_not_end_when_asked_is_killed(self, make, request_for, image, report_of):
        provider, request = make({"FAKE_MANAGER": "stubborn"}), request_for(image)
        block = provider.submit(request)
        report_of(request)
        provider.cancel([block])
        assert provider.status([block])[block].state.is_final
        provider.close()

    def test_many_blocks_are_cancelled_at_once(self, provider, request_for, image):
        blocks = [provider.submit(request_for(image, block=str(number))) for number in range(3)]
        provider.cancel(blocks)
        assert all(status.state.is_final for status in provider.status(blocks).values())

    def test_the_other_kind_of_image_is_rejected_and_nothing_is_started(self, provider, request_for, other_image):
        with pytest.raises(BlockRejectedError):
            provider.prepare(other_image)
        with pytest.raises(BlockRejectedError):
            provider.submit(request_for(other_image))


class TestLocalBlocks(ProviderContract):
    image = pytest.fixture(lambda _: "")
    other_image = pytest.fixture(lambda _: "app1:0.1")
    unknown = pytest.fixture(lambda _: NativeId("999999999:1"))

    @pytest.fixture
    def make(self, fake_root):
        return lambda environment: LocalBackend(LocalProvider(environment=environment), root=fake_root)


@pytest.mark.docker
class TestDockerBlocks(ProviderContract):
    other_image = pytest.fixture(lambda _: "")
    unknown = pytest.fixture(lambda _: NativeId("0" * 64))

    @pytest.fixture
    def image(self, image_base):
        return image_base

    @pytest.fixture
    def make(self, fake_root, tmp_path, capsule_cache):
        tar = tmp_path / "fake.tar"
        with tarfile.open(tar, "w") as archive:
            archive.add(fake_root, arcname=".")

        def provider(environment):
            settings = DockerProvider(environment=environment)
            return DockerBackend(settings, cache_dir=capsule_cache, capsule=lambda _kind, _cache: tar)

        return provider
