import threading
from types import SimpleNamespace

import pytest

from cnflow.config import HighThroughputExecutor
from cnflow.errors import BlockError, ChannelError
from cnflow.executors.high_throughput import provisioning
from cnflow.executors.high_throughput.executor_events import ExecutorEvents
from cnflow.executors.high_throughput.provisioning import BlockProvisioner
from cnflow.interfaces import RunContext
from cnflow.testing import FakeProvider, FakeProviderSettings


@pytest.fixture
def provision(tmp_path):
    """Makes a provisioner whose provider is made by a function of the test; its owner collects errors."""

    def make(make_provider):
        settings = HighThroughputExecutor(provider=FakeProviderSettings())
        run = RunContext("r", tmp_path, "simple", 120.0)
        errors = []
        client = SimpleNamespace(prepare=lambda: None)  # the process of an interchange
        made = BlockProvisioner(settings, make_provider, run, client, None, ExecutorEvents(settings.label, None))
        made.start(SimpleNamespace(on_failure=errors.append))
        return made, errors

    return make


def test_image_is_prepared_again_when_the_connection_to_the_site_breaks(provision, monkeypatch, caplog):
    monkeypatch.setattr(provisioning, "_PREPARE_AGAIN_AFTER", 0.0)
    attempts = []

    class Provider(FakeProvider):
        def prepare(self, image):
            attempts.append(image)
            raise ChannelError("login1 ended the connection.")

    made, errors = provision(lambda: Provider(FakeProviderSettings()))
    made.join()
    (error,) = errors
    assert str(error) == "login1 ended the connection."
    assert len(attempts) == 3
    assert caplog.text.count("tries its site again: login1 ended the connection.") == 2


def test_the_end_of_a_run_does_not_wait_for_ever_for_a_provider(provision, monkeypatch, caplog):
    monkeypatch.setattr(provisioning, "_LONGEST_END", 0.05)
    monkeypatch.setattr(provisioning, "LONGEST_CANCEL", 0.0)
    release = threading.Event()

    def hang():
        release.wait(60)
        raise RuntimeError("the test is over")

    made, _ = provision(hang)
    made.join()
    release.set()
    assert "did not finish in time at the end of the run; blocks that may run on: none is known" in caplog.text
    assert made.digest.result(0) == ""
    made.join()


def test_the_end_of_a_run_interrupts_a_provider_that_waits_for_an_image(provision, caplog):
    is_waiting, is_ending = threading.Event(), threading.Event()

    class Provider(FakeProvider):
        def prepare(self, image):
            is_waiting.set()
            assert is_ending.wait(60)
            raise BlockError("The run ends.")

        def interrupt(self):
            is_ending.set()

    made, errors = provision(lambda: Provider(FakeProviderSettings()))
    assert is_waiting.wait(60)
    made.close()
    made.join()
    assert [str(error) for error in errors] == ["The run ends."]
    assert "did not finish in time" not in caplog.text


def test_an_error_of_a_provider_that_cannot_be_made_names_it_and_leaves_no_login(provision, monkeypatch):
    logins = []
    monkeypatch.setattr(provisioning.SiteLogin, "close", lambda _: logins.append("closed"))

    def fail():
        raise RuntimeError("no spool today")

    made, errors = provision(fail)
    made.join()
    assert logins == ["closed"]
    (error,) = errors
    assert "FakeProviderSettings.backend raised RuntimeError: no spool today" in str(error)
