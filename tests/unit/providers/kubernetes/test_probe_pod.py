from pathlib import Path

import pytest

from cnflow.capsule import Probe
from cnflow.config.kubernetes import KubernetesProvider
from cnflow.errors import ImageUnusableError
from cnflow.ids import BlockId, RunId
from cnflow.model.block import BlockRequest
from cnflow.model.image import Image
from cnflow.model.manager_settings import ManagerSettings
from cnflow.model.node_command import NodeCommand
from cnflow.providers.kubernetes.names import user_label
from cnflow.providers.kubernetes.parts import PodParts
from cnflow.providers.kubernetes.probe_pod import (
    PLACEHOLDER,
    Attempt,
    attempts_of,
    image_id_of,
    judge,
    probe_workload,
    refuse_broken_environment,
)
from cnflow.providers.kubernetes.requests import workload_for

PROBE = Probe("3.11.2", "CPython", "x86_64", "glibc 2.36", "/usr/bin/python3")
MISSING = 'exec: "python3": executable file not found in $PATH: unknown'


def workload(**options):
    image = options.pop("image", Image("app:1"))
    settings = KubernetesProvider(**options)
    manager = ManagerSettings(hosts=(), endpoint="", executor="e", block="0")
    command = NodeCommand((PLACEHOLDER, "-c", "code"))
    request = BlockRequest(RunId("r"), "e", BlockId("0"), image, manager, Path(), command=command)
    return probe_workload(workload_for(request, settings, PodParts({}, "")), "cnflow-probe-1", 900.0)


def status(python, **state):
    return {"name": python, "imageID": "docker.io/app@sha256:12", "state": state}


def pod(*statuses):
    return {"status": {"containerStatuses": list(statuses)}}


def test_a_probe_runs_each_interpreter_in_a_container_and_removes_itself():
    job = workload()
    spec = job["spec"]["template"]["spec"]
    assert [each["command"] for each in spec["containers"]] == [["python3", "-c", "code"], ["python", "-c", "code"]]
    assert job["spec"]["ttlSecondsAfterFinished"] == 60
    assert job["spec"]["activeDeadlineSeconds"] == 900


def test_a_probe_counts_as_no_block_of_any_run():
    job = workload(labels={"team": "a"})
    labels = {**job["metadata"]["labels"], **job["spec"]["template"]["metadata"]["labels"]}
    assert labels == {
        "app.kubernetes.io/managed-by": "cnflow",
        "cnflow.org/probe": "cnflow-probe-1",
        "cnflow.org/user": user_label(),
        "team": "a",
    }


def test_a_probe_is_scheduled_like_a_block_but_asks_for_little():
    job = workload(init_cpu=64, max_cpu=64, init_mem="200Gi", gpus=8, node_selector={"gpu": "a100"})
    spec = job["spec"]["template"]["spec"]
    first, second = spec["containers"]
    assert spec["nodeSelector"] == {"gpu": "a100"}
    assert first["resources"]["requests"] == second["resources"]["requests"] == {"cpu": "100m", "memory": "64Mi"}
    assert first["resources"]["limits"]["nvidia.com/gpu"] == "8"
    assert "nvidia.com/gpu" not in second["resources"]["limits"]


def test_a_probe_goes_through_the_entrypoint_that_is_kept():
    job = workload(image=Image("app:1", entrypoint="keep"))
    first, _ = job["spec"]["template"]["spec"]["containers"]
    assert "command" not in first
    assert first["args"] == ["python3", "-c", "code"]


def test_a_probe_of_a_user_without_the_right_to_make_jobs_is_a_bare_pod():
    made = workload(workload="pod")
    assert made["kind"] == "Pod"
    assert made["spec"]["activeDeadlineSeconds"] == 900
    assert len(made["spec"]["containers"]) == 2


def test_sidecars_do_not_run_beside_a_probe():
    job = workload(sidecars=[{"name": "proxy", "image": "proxy:1"}], init_containers=[{"name": "i", "image": "i:1"}])
    assert [each["name"] for each in job["spec"]["template"]["spec"]["initContainers"]] == ["i"]


def test_containers_are_read_as_ended_running_or_waiting():
    ended = status("python3", terminated={"exitCode": 128, "message": MISSING})
    assert attempts_of(pod(ended, status("python", running={}))) == {
        "python3": Attempt("python3", 128, MISSING),
        "python": None,
    }
    assert attempts_of(pod(status("python3", waiting={"reason": "ContainerCreating"}))) == {}
    assert attempts_of({"status": {}}) == {}


def test_a_runtime_that_looks_for_the_program_as_it_makes_the_container_is_understood():
    words = "container create failed: executable file `python3` not found in $PATH: No such file or directory"
    ended = attempts_of(pod(status("python3", waiting={"reason": "CreateContainerError", "message": words})))
    assert ended["python3"].is_not_found


def test_the_image_is_identified_by_what_the_kubelet_started():
    assert image_id_of(pod(status("python3", running={}))) == "docker.io/app@sha256:12"
    assert image_id_of({"status": {}}) == ""


def test_the_first_interpreter_that_prints_a_probe_is_taken():
    attempts = [Attempt("python3", 128, MISSING), Attempt("python", 0, f"warning\n{PROBE.to_json()}\n")]
    found = judge("app:1", attempts, keeps_entrypoint=False)
    assert found is not None
    assert found[0] == PROBE


@pytest.mark.parametrize("words", [MISSING, "sh: 1: exec: python3: not found"])
def test_an_image_without_python_is_told_by_the_words_of_runtime_or_shell(words):
    attempts = [Attempt("python3", 127, words), Attempt("python", 128, words)]
    assert judge("app:1", attempts, keeps_entrypoint=False) is None


def test_an_image_for_another_architecture_is_refused_in_words():
    attempts = [Attempt("python3", 255, "exec /usr/bin/python3: exec format error"), Attempt("python", 128, MISSING)]
    with pytest.raises(ImageUnusableError, match=r"'app:1' is for another architecture.*exec format error"):
        judge("app:1", attempts, keeps_entrypoint=False)


def test_an_entrypoint_that_swallows_its_arguments_is_refused_in_words():
    attempts = [Attempt("python3", 0, "hello"), Attempt("python", 0, "hello")]
    with pytest.raises(ImageUnusableError, match=r"entrypoint of image 'app:1' swallows"):
        judge("app:1", attempts, keeps_entrypoint=True)


def test_a_python_that_does_not_start_is_quoted():
    attempts = [Attempt("python3", 1, "Fatal Python error: no encodings"), Attempt("python", 128, MISSING)]
    with pytest.raises(ImageUnusableError, match="no encodings"):
        judge("app:1", attempts, keeps_entrypoint=False)


def test_a_python_that_needs_another_environment_is_refused_with_the_variable():
    refuse_broken_environment("app:1", PROBE)
    broken = Probe("3.11.2", "CPython", "x86_64", "", "", trouble="no module enum", suspects=("PYTHONHOME",))
    with pytest.raises(ImageUnusableError, match=r"(?s)with the PYTHONHOME .*environment=\{'PYTHONHOME': ''\}"):
        refuse_broken_environment("app:1", broken)
