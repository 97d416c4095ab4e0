import dataclasses
from http import HTTPStatus

import pytest
from inline_snapshot import snapshot

from cnflow.worker_pool.keeper import pause_after
from cnflow.worker_pool.metrics import metrics_text
from cnflow.worker_pool.probes import answer
from cnflow.worker_pool.status import PoolStatus

MAIN = PoolStatus(
    name="main",
    image="a:1",
    host="h",
    clients_port=7,
    is_ready=True,
    queued=3,
    running=2,
    ended=1_234_567,
    slots_wanted=5,
    managers=1,
    workers=2,
    restarts=0,
    clients=[{"name": "alice", "is_connected": True}, {"name": "bob", "is_connected": False}],
    blocks=[{"block": "0", "state": "running"}, {"block": "1", "state": "pending"}],
)
BROKEN = dataclasses.replace(MAIN, name='we"ird', is_ready=False, error="no such image")


def test_metrics_have_the_format_of_prometheus():
    assert metrics_text([MAIN]) == snapshot("""\
# HELP cnflow_pool_up 1 if drivers can connect with the pool.
# TYPE cnflow_pool_up gauge
cnflow_pool_up{pool="main"} 1
# HELP cnflow_pool_tasks Tasks of drivers by state: queued (no worker has it) or running.
# TYPE cnflow_pool_tasks gauge
cnflow_pool_tasks{pool="main",state="queued"} 3
cnflow_pool_tasks{pool="main",state="running"} 2
# HELP cnflow_pool_tasks_ended_total Tasks that have ended since the interchange started.
# TYPE cnflow_pool_tasks_ended_total counter
cnflow_pool_tasks_ended_total{pool="main"} 1234567
# HELP cnflow_pool_slots_wanted Workers that all unfinished tasks take at the same time.
# TYPE cnflow_pool_slots_wanted gauge
cnflow_pool_slots_wanted{pool="main"} 5
# HELP cnflow_pool_clients Connected drivers.
# TYPE cnflow_pool_clients gauge
cnflow_pool_clients{pool="main"} 1
# HELP cnflow_pool_managers Connected managers: one on each node of a block, one in each pod.
# TYPE cnflow_pool_managers gauge
cnflow_pool_managers{pool="main"} 1
# HELP cnflow_pool_workers Workers of the connected managers.
# TYPE cnflow_pool_workers gauge
cnflow_pool_workers{pool="main"} 2
# HELP cnflow_pool_blocks Blocks, or pods, by state.
# TYPE cnflow_pool_blocks gauge
cnflow_pool_blocks{pool="main",state="requested"} 0
cnflow_pool_blocks{pool="main",state="pending"} 1
cnflow_pool_blocks{pool="main",state="running"} 1
cnflow_pool_blocks{pool="main",state="draining"} 0
# HELP cnflow_pool_restarts_total Times that the server has started the pool again.
# TYPE cnflow_pool_restarts_total counter
cnflow_pool_restarts_total{pool="main"} 0
""")


def test_label_with_a_quote_is_escaped_and_a_failed_pool_is_down():
    assert 'cnflow_pool_up{pool="we\\"ird"} 0\n' in metrics_text([MAIN, BROKEN])


def test_metric_is_described_once_for_several_pools():
    assert metrics_text([MAIN, BROKEN]).count("# TYPE cnflow_pool_tasks gauge") == 1


def test_server_is_ready_once_each_pool_is():
    assert answer("/readyz", lambda: [MAIN])[0] is HTTPStatus.OK
    code, _, text = answer("/readyz", lambda: [MAIN, BROKEN])
    assert (code, text) == (HTTPStatus.SERVICE_UNAVAILABLE, 'pool we"ird is not ready: no such image\n')


def test_server_with_a_failed_pool_is_healthy():
    assert answer("/healthz?full=1", lambda: [BROKEN])[0] is HTTPStatus.OK


def test_unknown_path_names_the_known_ones():
    code, _, text = answer("/metric", list)
    assert code is HTTPStatus.NOT_FOUND
    assert "/metrics" in text


@pytest.mark.parametrize(("failures", "pause"), [(1, 10.0), (3, 40.0), (50, 300.0)])
def test_pause_before_a_failed_pool_is_started_again_grows_to_five_minutes(failures, pause):
    assert pause_after(failures) == pause
