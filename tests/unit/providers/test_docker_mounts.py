"""Folders and users of containers, decided without an engine."""

import os

import pytest

from cnflow.config import DockerProvider
from cnflow.config.mounts import mountable, targets_of
from cnflow.errors import BlockRejectedError, ConfigurationError, ImageUnusableError
from cnflow.model.visible_files import enclosing_folder
from cnflow.providers.docker import refusals
from cnflow.providers.docker.refusals import Answer
from cnflow.providers.docker.requests import refuse_hidden_python, with_room_for_files
from cnflow.providers.docker.users import choose_user

OWN = f"{os.getuid()}:{os.getgid()}"


@pytest.mark.parametrize(
    ("host", "variable", "is_local"),
    [
        (None, "", True),
        (None, "unix:///run/user/1000/docker.sock", True),
        (None, "tcp://10.0.0.1:2375", False),
        (None, "ssh://me@big", False),
        ("unix:///var/run/docker.sock", "tcp://10.0.0.1:2375", True),
        ("tcp://127.0.0.1:2375", "", False),
    ],
)
def test_engine_behind_a_socket_file_is_local(host, variable, is_local, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", variable)
    assert DockerProvider(host=host).shares_folders is is_local
    assert DockerProvider(host=host, mount_folders=not is_local).shares_folders is not is_local


def test_mounts_are_known_in_every_form_with_what_outlives_the_container():
    create = {
        "mounts": [
            {"Type": "bind", "Source": "/a", "Target": "/a"},
            {"Type": "tmpfs", "Target": "/fast"},
            {"Type": "volume", "Source": "", "Target": "/gone"},
        ],
        "volumes": ["/b:/b/:ro", "named:/c", "/anonymous"],
        "tmpfs": ["/t:size=1g"],
    }
    assert targets_of({"/srv": "/data:ro", "x": "/out:rw"}, create) == {
        "/data": True,
        "/out": True,
        "/a": True,
        "/fast": False,
        "/gone": False,
        "/b": True,
        "/c": True,
        "/anonymous": False,
        "/t": False,
    }
    assert targets_of({}, {"volumes": {"/h": {"bind": "/v", "mode": "rw"}}, "tmpfs": {"/t": ""}}) == {
        "/v": True,
        "/t": False,
    }


def test_only_the_outermost_folders_are_mounted_and_none_that_belongs_to_the_image():
    assert mountable(["/home/ann/x/runinfo/000", "/home/ann/x"], {}) == ("/home/ann/x",)
    assert mountable(["/runs/000", "/home/ann/x"], {}) == ("/runs/000", "/home/ann/x")
    assert mountable(["/runs/000", "/"], {}) == ("/runs/000",)
    assert mountable(["/usr", "/proc/self", "", "/tmp"], {}) == ("/tmp",)
    assert mountable(["/home/ann/x", "/home/ann/xy"], {"/home/ann/x": True}) == ("/home/ann/xy",)


def test_innermost_folder_of_a_path_counts():
    assert enclosing_folder("/a/b/c", ("/a", "/a/b", "/a/bc")) == "/a/b"
    assert enclosing_folder("/ab", ("/a",)) == ""
    assert enclosing_folder("/a", ("/a",)) == "/a"


def test_user_is_the_scripts_where_its_folders_are_mounted():
    assert choose_user(DockerProvider(), {}).name == OWN
    assert choose_user(DockerProvider(mount_folders=False), {}).options() == {}
    docker = {"SecurityOptions": ["name=seccomp,profile=default", "name=rootless"]}
    podman = {"SecurityOptions": ["name=seccomp,profile=default"], "Rootless": True}
    for rootless in (docker, podman):
        assert choose_user(DockerProvider(), rootless).options() == {"user": "0:0"}
    named = choose_user(DockerProvider(user="4321"), {})
    assert (named.options(), named.can_enter) == ({}, False)
    assert choose_user(DockerProvider(user="root"), {}).can_enter
    assert "group_add" not in choose_user(DockerProvider(create={"group_add": ["5"]}), {}).options()


@pytest.mark.parametrize(
    ("arguments", "tmpfs"),
    [
        ({}, {"/tmp": "exec,mode=1777"}),
        ({"tmpfs": {"/tmp": ""}}, {"/tmp": ""}),
        ({"tmpfs": ["/tmp:size=1g"]}, ["/tmp:size=1g"]),
        ({"tmpfs": ["/run:size=1m"]}, {"/run": "size=1m", "/tmp": "exec,mode=1777"}),
        ({"volumes": {"/tmp": {"bind": "/tmp", "mode": "rw"}}}, None),
        ({"mounts": [{"Type": "bind", "Source": "/x", "Target": "/tmp"}]}, None),
    ],
)
def test_container_with_a_read_only_root_has_room_for_our_files_and_temporary_ones(arguments, tmpfs):
    made = with_room_for_files({**arguments, "read_only": True})
    assert [mount["Target"] for mount in made["mounts"]].count("/.cnflow") == 1
    assert made.get("tmpfs") == tmpfs
    assert with_room_for_files(arguments) == arguments


def test_volume_of_the_user_takes_the_place_of_ours():
    made = with_room_for_files({"read_only": True, "volumes": ["/.cnflow"]})
    assert made["mounts"] == []


def test_file_system_that_would_hide_our_files_is_refused():
    with pytest.raises(ConfigurationError, match="Leave it out"):
        with_room_for_files({"tmpfs": {"/.cnflow": ""}})


def test_folder_that_would_hide_the_images_python_is_refused():
    refuse_hidden_python("/usr/bin/python3", ("/home/ann",))
    with pytest.raises(BlockRejectedError, match="would hide the image's Python, /srv/env/bin/python"):
        refuse_hidden_python("/srv/env/bin/python", ("/home/ann", "/srv"))


ENGINE = "The Docker engine refused to start a container: "


@pytest.mark.parametrize(
    ("words", "code", "kind", "said"),
    [
        ("", 137, ImageUnusableError, "killed when it started"),
        (f"{ENGINE}container init was OOM-killed (memory limit too low?)", None, ImageUnusableError, "want of memory"),
        (f"{ENGINE}exec /usr/bin/python3: exec format error", None, ImageUnusableError, "another architecture"),
        ("exec /usr/bin/python3: exec format error", 255, ImageUnusableError, "another architecture"),
        (f'{ENGINE}exec: "python3": permission denied', None, ImageUnusableError, "may not be run by the user"),
        (f"{ENGINE}unable to find user x: no matching entries in passwd file", None, BlockRejectedError, "find user x"),
        (f'{ENGINE}exec: "python3": executable file not found in $PATH', None, ImageUnusableError, "in its PATH, /p"),
        ("Segmentation fault", 139, ImageUnusableError, "has no Python that starts: python3: Segmentation fault"),
        ("", 3, ImageUnusableError, "exited with code 3, in silence"),
    ],
)
def test_cause_of_a_python_that_does_not_start_is_named(words, code, kind, said):
    error = refusals.no_start("app:1", [Answer("python3", words, code)], "/p", "8m")
    assert type(error) is kind
    assert said in str(error)


def test_refusal_about_a_folder_of_the_script_has_advice():
    refusal = BlockRejectedError("bind source path does not exist: /home/ann/x")
    assert "mount_folders=False" in str(refusals.with_advice(refusal, ["/home/ann/x"], "app1:0.1"))
    other = str(refusals.with_advice(refusal, ["/home/bob"], "app1:0.1"))
    assert other.startswith("Image 'app1:0.1': starting a block failed: ")
    assert other.endswith("make it there, or correct mounts=.")


def test_environment_that_no_single_variable_breaks_is_named_as_a_whole():
    assert "ignores its environment" in str(refusals.broken_environment("app:1", "Fatal Python error", ()))
    both = str(refusals.broken_environment("app:1", "words", ("LD_A", "LD_B")))
    assert "with the LD_A or LD_B" in both
    assert "{'LD_A': '', 'LD_B': ''}" in both
