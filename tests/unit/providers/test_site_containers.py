from dataclasses import replace

import pytest

from cnflow.capsule import CARRIED_PYTHON, Kind, Probe
from cnflow.capsule.start import START_SCRIPT
from cnflow.config import CondorProvider, SlurmProvider
from cnflow.errors import BlockRejectedError
from cnflow.model.node_command import NodeCommand
from cnflow.model.site_image import ImageForm, SiteImage
from cnflow.providers._shared.image_command import image_command
from cnflow.providers._shared.site_containers import Container
from cnflow.providers.batch.condor import DIALECT as CONDOR
from cnflow.providers.batch.jobs import Job
from cnflow.providers.batch.requests import Place, make_request, preview_of
from cnflow.providers.batch.slurm import SLURM
from cnflow.runtimes import ApptainerRuntime

OWN = Kind("3.11", "x86_64", "glibc")
CARRIED = Kind("3.12", "x86_64", "glibc", carries_python=True)
IMAGE = SiteImage("app:1", ImageForm.SIF, "/site/images/x.sif")
PYTHON = Probe("3.11.7", "CPython", "x86_64", "glibc 2.36", "/opt/python3")


def command_of(manager, capsules, probe=None, folders=()):
    return image_command(
        manager, settings_file="/s/run/7", script="/s/run/7.sh", capsules=capsules, probe=probe, folders=folders
    )


def test_image_that_was_probed_starts_its_python_at_once(request_for):
    made = command_of(request_for().manager, {OWN: "/s/c"}, PYTHON, ["/work"])
    assert made.argv == ("/opt/python3", "-I", "/s/c/cnflow/manager/__main__.py", "/s/run/7")
    assert made.mounts == {"/s/c": "/s/c:ro", "/s/run": "/s/run", "/work": "/work"}
    assert list(made.files) == ["/s/run/7"]


def test_python_of_another_kind_runs_workers_beside_the_carried_one(request_for):
    made = command_of(request_for().manager, {CARRIED: "/s/c"}, replace(PYTHON, version="3.8.1"))
    assert made.argv[0] == f"/s/c/{CARRIED_PYTHON}"
    assert b'"worker_python":"/opt/python3"' in made.files["/s/run/7"]
    without = command_of(request_for().manager, {CARRIED: "/s/c"}, replace(PYTHON, version="3.7.1"))
    assert b'"worker_python":""' in without.files["/s/run/7"]


def test_image_that_nobody_has_looked_at_chooses_in_the_container(request_for):
    made = command_of(request_for().manager, {OWN: "/s/c", CARRIED: "/s/d"})
    assert made.argv == ("/bin/sh", "/s/run/7.sh", "/s/run/7", f"{OWN.slug}=/s/c", f"{CARRIED.slug}=/s/d")
    assert made.files["/s/run/7.sh"] == START_SCRIPT.encode()
    assert made.mounts == {"/s/c": "/s/c:ro", "/s/d": "/s/d:ro", "/s/run": "/s/run"}


@pytest.mark.parametrize("probe", [PYTHON, None])
def test_elements_of_an_array_find_their_settings_in_the_container(request_for, probe):
    requests = tuple(request_for("app:1", block) for block in ("4", "5"))
    place = Place("/site", Container(ApptainerRuntime(), IMAGE, {OWN: "/site/c"}, probe), is_local=True)
    request, files = make_request(SlurmProvider(environment={"A": "S3CRET b"}), SLURM, place, Job(requests))
    ends = [".0", ".1"] if probe else ["-1.0", "-1.1", ".0", ".1"]
    assert sorted(name.rpartition("settings")[2] for name in files) == ends
    assert '.settings.\'"$CNFLOW_ARRAY_INDEX"' in request.body
    assert "CNFLOW-ELEMENT" not in request.body
    assert request.body.count("S3CRET") == 1, "it is exported by the script, which others cannot read"
    assert "cp " not in request.body, "all files are where the container sees them"


def test_files_of_another_machine_are_not_mounted(request_for):
    request = replace(request_for("app:1"), shared_folders=("/home/me/run", ""))
    container = Container(ApptainerRuntime(), IMAGE, {OWN: "/s/c"}, PYTHON)
    made = [container.command(request, "/s/run/7", "/s/run/7.sh", {}, shares_files=shares) for shares in (True, False)]
    assert ["/home/me/run" in each.argv[2] for each in made] == [True, False]


def test_command_of_the_users_own_runs_in_the_container(request_for):
    request = replace(request_for("app:1"), command=NodeCommand(("my", "command"), {"B": "c"}))
    made = Container(ApptainerRuntime(), IMAGE, {}).command(
        request, "/s/run/7", "/s/run/7.sh", {"A": "b"}, shares_files=True
    )
    assert made.argv[2].endswith('"$image" my command\n')
    assert made.environment == {"A": "b", "B": "c"}


def test_what_the_runtime_cannot_do_is_a_block_that_is_refused(request_for):
    container = Container(ApptainerRuntime(mounts={"/a,b": "/c"}), IMAGE, {OWN: "/s/c"}, PYTHON)
    with pytest.raises(BlockRejectedError, match="comma"):
        container.command(request_for("app:1"), "/s/run/7", "/s/run/7.sh", {}, shares_files=True)


def test_preview_of_a_job_shows_its_container_without_asking_a_site(request_for):
    shown = preview_of(SlurmProvider(environment={"TOKEN": "S3CRET"}), SLURM, request_for("app:1"))
    text = "\n".join(shown["script"])
    assert "SITE_DIR/images/IMAGE" in text
    assert "S3CRET" not in text


def test_where_nodes_share_no_files_the_scheduler_brings_image_and_code(request_for):
    container = Container(ApptainerRuntime(), IMAGE, {OWN: "/site/capsules/tag"})
    place = Place("/site", container, is_local=True)
    request, files = make_request(CondorProvider(), CONDOR, place, Job((request_for("app:1"),)))
    assert request.files == ("/site/capsules/tag", "/site/images/x.sif")
    assert [path.rpartition(".")[2] for path in request.element_files] == ["settings", "settings-1"]
    assert len(files) == 2
    assert '"$CNFLOW_FOLDER"\'/x.sif' in request.body
    assert "/site/images" not in request.body, "nodes do not have it"
    assert container.moved("/job").capsules == {OWN: "/job/tag"}
