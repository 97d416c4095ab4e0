import threading
from types import SimpleNamespace

import pytest

from cnflow.errors import BlockError
from cnflow.ids import RunId
from cnflow.kubernetes_api.errors import ApiError
from cnflow.providers.kubernetes import run_object as run_object_module
from cnflow.providers.kubernetes.run_object import RunObject, age_at_change, is_over, job_for_run, renewal

CREATED = "2026-11-26T07:42:21Z"


class Server:
    """One Job, as the API server keeps it."""

    server = "https://one"
    namespace = "ns"

    def __init__(self):
        self.job = None
        self.made = 0
        self.deadlines = []
        self.listed = []
        self.selectors = []
        self.on_patch = lambda: None

    def list_all(self, path, selector="", *, fields=""):
        self.selectors.append(selector)
        return SimpleNamespace(items=self.listed)

    def request(self, method, path, *, body=None, query=None, content_type=""):
        if method == "POST":
            if self.job is not None:
                raise ApiError(self.server, 409, "AlreadyExists", "exists")
            self.made += 1
            metadata = {**body["metadata"], "uid": f"u{self.made}", "creationTimestamp": CREATED}
            self.job = {**body, "metadata": metadata, "status": {}}
            return self.job
        if self.job is None:
            raise ApiError(self.server, 404, "NotFound", "no such Job")
        if method == "PATCH":
            changed = [{"time": "2026-11-26T07:44:01Z"}]
            self.job["metadata"] = {**self.job["metadata"], "managedFields": changed}
            if "spec" in body:
                self.deadlines.append(body["spec"]["activeDeadlineSeconds"])
            self.on_patch()
        job = self.job
        if method == "DELETE":
            self.job = None
        return job


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def clock():
    return [1000.0]


@pytest.fixture
def run_object(server, clock):
    made = RunObject(server, RunId("r1"), 300.0, clock=lambda: clock[0])
    yield made
    made.stop()


def test_the_object_of_a_run_is_a_job_that_has_no_pod_and_removes_itself():
    job = job_for_run(RunId("r1"), 299.5)
    assert job["spec"]["parallelism"] == 0
    assert job["spec"]["activeDeadlineSeconds"] == 300
    assert job["spec"]["ttlSecondsAfterFinished"] == 0
    assert job["metadata"]["labels"]["cnflow.org/run"] == "r1"


def test_a_renewal_moves_the_deadline_to_a_lease_from_now():
    assert renewal("Job", 100.2, 300.0, "m")["spec"] == {"activeDeadlineSeconds": 401}
    assert "spec" not in renewal("ConfigMap", 100.2, 300.0, "m")


def test_the_age_is_that_by_the_clock_of_the_server():
    job = {
        "metadata": {
            "creationTimestamp": CREATED,
            "managedFields": [{"time": "2026-11-26T07:42:30Z"}, {"time": "2026-11-26T08:42:21Z"}, {}],
        }
    }
    assert age_at_change(job) == 3600.0
    assert age_at_change({"metadata": {"creationTimestamp": CREATED}}) == 0.0


@pytest.mark.parametrize(
    ("extra", "ended"),
    [
        ({}, False),
        ({"status": {"conditions": [{"type": "Failed", "status": "True"}]}}, True),
        ({"status": {"conditions": [{"type": "Failed", "status": "False"}]}}, False),
        ({"status": {"phase": "Running"}}, False),
        ({"status": {"phase": "Succeeded"}}, True),
        ({"metadata": {"deletionTimestamp": CREATED}}, True),
    ],
)
def test_an_object_that_ends_is_told_from_one_that_lives(extra, ended):
    assert is_over({"metadata": {}, **extra}) is ended


def test_the_object_is_made_once_and_renewed_by_its_age(run_object, server, clock):
    owner = run_object.ensure()
    assert owner == {"apiVersion": "batch/v1", "kind": "Job", "name": "cnflow-r1-run", "uid": "u1"}
    assert run_object.ensure() == owner
    clock[0] += 100.0
    run_object.renew()
    assert server.deadlines == [400]


def test_an_object_that_the_cluster_has_deleted_is_made_again(run_object, server, caplog):
    run_object.ensure()
    server.job = None
    run_object.renew()
    assert "has ended all blocks of run r1" in caplog.text
    assert run_object.ensure()["uid"] == "u2"


def test_the_object_of_a_killed_driver_is_taken_over_with_the_age_that_the_server_knows(run_object, server):
    server.request("POST", "", body=job_for_run(RunId("r1"), 300.0))
    assert run_object.ensure()["uid"] == "u1"
    assert server.deadlines == [400], "100 s old, by the server's clock"


def test_a_longer_lease_of_a_run_that_others_may_adopt_counts(run_object, server):
    run_object.ensure(1000.0)
    run_object.renew()
    assert server.deadlines == [1000]


def test_deleting_an_object_that_is_gone_is_no_error(run_object, server):
    run_object.ensure()
    server.job = None
    run_object.delete()
    run_object.renew()
    assert server.made == 1


def test_a_config_map_owns_a_run_whose_user_may_not_make_jobs(server):
    made = RunObject(server, RunId("r1"), 300.0, is_bare=True)
    assert made.ensure() == {"apiVersion": "v1", "kind": "ConfigMap", "name": "cnflow-r1-run", "uid": "u1"}
    made.renew()
    assert server.deadlines == [], "it has none"
    made.delete()
    assert server.job is None


def test_renewal_goes_on_after_a_fault(server):
    renewed = threading.Semaphore(0)
    faults = [KeyError("metadata")]

    class Flaky(Server):
        def request(self, method, path, **options):
            if method == "PATCH":
                renewed.release()
                if faults:
                    raise faults.pop()
            return super().request(method, path, **options)

    made = RunObject(Flaky(), RunId("r1"), 0.3)
    made.ensure()
    assert renewed.acquire(timeout=10)
    assert renewed.acquire(timeout=10)
    made.stop()


def ending(job):
    job["metadata"] = {**job["metadata"], "deletionTimestamp": CREATED}


def test_object_that_is_renewed_while_it_is_deleted_is_made_again(run_object, server, caplog):
    run_object.ensure()
    ending(server.job)
    run_object.renew()
    assert "has ended all blocks of run r1" in caplog.text
    server.job = None  # the garbage collector is done
    assert run_object.ensure()["uid"] == "u2"


def test_object_of_the_same_name_that_somebody_else_has_made_meanwhile_is_not_taken_for_the_old_one(run_object, server):
    run_object.ensure()
    server.job = None
    server.request("POST", "", body=job_for_run(RunId("r1"), 300.0))
    run_object.renew()
    assert run_object.ensure()["uid"] == "u2", "blocks that u1 owned are gone"


@pytest.mark.parametrize("moment", ["before", "between"])
def test_object_that_ends_while_it_is_taken_over_is_not_adopted(run_object, server, clock, moment, monkeypatch):
    server.request("POST", "", body=job_for_run(RunId("r1"), 300.0))
    monkeypatch.setattr(run_object_module.time, "sleep", lambda _: setattr(server, "job", None))
    if moment == "before":
        ending(server.job)
    else:
        server.on_patch = lambda: ending(server.job)
    assert run_object.ensure()["uid"] == "u2"
    assert server.deadlines == ([] if moment == "before" else [400])


def test_object_that_a_finalizer_holds_is_named_with_the_command_that_shows_it(run_object, server, clock, monkeypatch):
    server.request("POST", "", body=job_for_run(RunId("r1"), 300.0))
    ending(server.job)

    def sleep(seconds):
        assert clock[0] < 1100.0, "it is waited for for ever"
        clock[0] += 1.0

    monkeypatch.setattr(run_object_module.time, "sleep", sleep)
    with pytest.raises(BlockError, match=r"still being deleted\. See which finalizer holds it: kubectl get"):
        run_object.ensure()


def test_lease_never_gets_shorter(run_object, server):
    run_object.ensure(1000.0)
    run_object.ensure(500.0)
    run_object.renew()
    assert server.deadlines == [1000]


@pytest.mark.parametrize(("phase", "is_needed"), [("Running", True), ("Pending", True), ("Succeeded", False)])
def test_object_is_needed_while_a_pod_of_the_run_lives(run_object, server, phase, is_needed):
    server.listed = [{"metadata": {}, "status": {"phase": phase}}]
    assert run_object.is_needed() is is_needed
    assert all("cnflow.org/role!=run" in selector for selector in server.selectors)
