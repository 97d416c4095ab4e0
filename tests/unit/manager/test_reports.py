"""Reports of a manager: what cannot be sent or looked at now does not keep its loop turning."""

import math
from types import SimpleNamespace

import pytest

from cnflow.ids import ManagerId
from cnflow.manager.reports import Reports
from cnflow.manager.usage.sampler import Sampler
from cnflow.wire.manager_messages import Events


@pytest.fixture
def reports():
    settings = SimpleNamespace(block="0", sends_events=True, sample_interval=None)
    state = SimpleNamespace(workers=SimpleNamespace(running_tasks=dict, is_busy=False))
    waits = SimpleNamespace(take_notes=list, progress=list)
    return Reports(ManagerId(b"m"), "n1", settings, state, [], waits)


def test_full_line_is_tried_again_after_a_pause(reports):
    assert reports.next_deadline == math.inf
    reports.on_exit(SimpleNamespace(rank=1), 1, "")
    for now in (100.0, 200.0):
        assert list(reports.take(now, is_full=True)) == []
        assert now < reports.next_deadline < now + 1
    [message] = reports.take(300.0, is_full=False)
    assert isinstance(message, Events)
    assert reports.next_deadline == math.inf


def test_thread_that_has_failed_is_not_waited_for(monkeypatch, caplog):
    monkeypatch.setattr("cnflow.manager.usage.sampler.ProcessTable", lambda: 1 / 0)
    sampler = Sampler()
    sampler.ask([])
    sampler._thread.join(20)
    assert sampler.take() == []
    assert not sampler.is_looking
    assert "no more samples" in caplog.text
