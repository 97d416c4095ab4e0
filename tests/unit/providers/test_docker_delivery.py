"""Way of the capsule into containers, by what is known of the engine."""

import os

import pytest

from cnflow.capsule import Kind
from cnflow.config import DockerProvider
from cnflow.errors import BlockRejectedError
from cnflow.model.traits import CapsuleVia
from cnflow.providers.docker.delivery import CapsuleDelivery

KIND = Kind("3.11", "x86_64", "glibc")


@pytest.fixture
def deliver(tmp_path):
    made = []

    def tar(kind, cache):
        made.append("tar")
        return tmp_path / "tar"

    def make(*, may_mount=True):
        return CapsuleDelivery(tmp_path, tar=tar, folder=lambda kind, cache: tmp_path, may_mount=may_mount)

    make.made = made
    return make


def test_a_local_engine_is_given_the_folder_and_no_tar_is_made(deliver, tmp_path):
    delivery = deliver()
    delivery.prepare(KIND, {"SecurityOptions": ["name=seccomp,profile=default"]})
    assert delivery.folder_to_mount(KIND) == str(tmp_path)
    assert deliver.made == []


def test_an_engine_elsewhere_is_given_the_tar(deliver):
    delivery = deliver(may_mount=False)
    delivery.prepare(KIND, {})
    assert delivery.folder_to_mount(KIND) == ""
    assert deliver.made == ["tar"]


def test_an_engine_with_selinux_is_given_the_tar(deliver):
    delivery = deliver()
    delivery.prepare(KIND, {"SecurityOptions": ["name=seccomp", "name=selinux"]})
    assert delivery.folder_to_mount(KIND) == ""


def test_a_cache_that_nothing_can_be_executed_from_is_not_mounted(deliver, monkeypatch):
    class NoExec:
        f_flag = os.ST_NOEXEC

    monkeypatch.setattr(os, "statvfs", lambda _: NoExec)
    delivery = deliver()
    delivery.prepare(KIND, {})
    assert delivery.folder_to_mount(KIND) == ""


def test_a_refusal_of_the_folder_ends_mounting_and_any_other_does_not(deliver, tmp_path):
    delivery = deliver()
    assert not delivery.on_refused(BlockRejectedError("no such network"), str(tmp_path))
    assert delivery.folder_to_mount(KIND) == str(tmp_path)
    assert delivery.on_refused(BlockRejectedError(f"bind source path does not exist: {tmp_path}"), str(tmp_path))
    assert delivery.folder_to_mount(KIND) == ""


def test_a_refusal_of_a_container_without_the_mount_is_not_about_the_mount(deliver):
    assert not deliver().on_refused(BlockRejectedError("bind source path does not exist: /x"), "")


@pytest.mark.parametrize(
    ("host", "way"),
    [
        ("unix:///var/run/docker.sock", CapsuleVia.MOUNT),
        ("tcp://big:2376", CapsuleVia.PUT),
        ("ssh://me@big", CapsuleVia.PUT),
        ("tcp://127.0.0.1:2375", CapsuleVia.PUT),
    ],
)
def test_the_traits_name_the_way_by_the_address_of_the_engine(host, way):
    assert DockerProvider(host=host).traits().capsule is way
