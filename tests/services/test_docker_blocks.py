"""Promises about containers, on a real engine; a stand-in for the manager runs in them and reports."""

import json
import os
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import pytest

from cnflow.config import DockerProvider
from cnflow.errors import BlockError, BlockRejectedError
from cnflow.ids import BlockId
from cnflow.model.block import BlockState, EndCause, Refusal
from cnflow.model.image import Image
from cnflow.providers.docker.client import Engine
from cnflow.providers.docker.provider import DockerBackend
from cnflow.providers.docker.requests import DELIVERED_ROOT, create_arguments, node_command
from cnflow.testing.contracts.provider import submit_one

pytestmark = pytest.mark.engines


@pytest.fixture
def tar(fake_root, tmp_path):
    path = tmp_path / "fake.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(fake_root, arcname=".")
    return path


@pytest.fixture
def provide(tar, fake_root, capsule_cache):
    """Makes providers; what they started is cancelled at the end."""
    made = []

    def make(folder=fake_root, **settings):
        made_by = {"capsule": lambda _kind, _cache: tar, "folder": lambda _kind, _cache: folder}
        provider = DockerBackend(DockerProvider(**settings), cache_dir=capsule_cache, **made_by)
        made.append(provider)
        return provider

    yield make
    for provider in made:
        provider.cancel(list(provider._followers))
        provider.close()


@pytest.fixture
def start(provide, request_for, image_base, report_of):
    """Starts a block: its provider, its id, what the engine says of it, and what it reports of itself."""

    def run(**settings):
        provider, request = provide(**settings), request_for(image_base)
        block = submit_one(provider, request)
        return provider, block, report_of(request)

    return run


def test_a_container_is_labelled_with_its_run_executor_and_block(start, engine, image_base):
    _, block, _ = start()
    labels = engine.containers.get(block).labels
    assert labels["cnflow.run"].startswith("test-")
    assert labels["cnflow.executor"] == "htex"
    assert labels["cnflow.block"] == "0"
    assert labels["cnflow.image"] == image_base


def test_a_container_has_a_readable_name(start, engine):
    _, block, _ = start()
    container = engine.containers.get(block)
    assert container.name == f"cnflow-{container.labels['cnflow.run']}-htex-0"


def test_the_first_process_is_an_init(start):
    _, _, report = start()
    assert report["init"][0].endswith(("docker-init", "podman-init", "tini"))
    assert report["pid"] != 1


def test_a_cancelled_block_is_removed(start, engine):
    provider, block, _ = start()
    provider.cancel([block])
    assert block not in [container.id for container in engine.containers.list(all=True, ignore_removed=True)]


def test_a_block_that_ends_by_itself_is_removed_by_the_engine(start, engine, until):
    _, block, _ = start(environment={"FAKE_MANAGER": "exit"})
    until(lambda: block not in [one["Id"] for one in engine.api.containers(all=True)])


def test_no_key_is_in_the_arguments_the_environment_or_what_the_engine_shows(start, engine):
    _, block, report = start()
    assert "S3CRET" not in json.dumps(engine.containers.get(block).attrs)
    assert "S3CRET" not in json.dumps(report)


@pytest.mark.parametrize("user", [None, "1234:567"])
def test_the_settings_file_is_the_container_users_alone_and_gone_once_read(start, engine, user):
    _, block, report = start(user=user)
    assert (report["mode"], report["folder"]) == ("0o600", "0o700")
    assert report["owner"] == report["uid"] == (1234 if user else 0)
    assert engine.containers.get(block).exec_run(["cat", report["file"]], user="root").exit_code != 0


@pytest.mark.parametrize("options", [{}, {"user": "1234:567"}, {"create": {"read_only": True}}])
def test_the_capsule_is_mounted_read_only_on_an_engine_of_this_machine(start, engine, fake_root, options):
    _, block, report = start(**options)
    mounts = [mount for mount in engine.containers.get(block).attrs["Mounts"] if mount["Type"] == "bind"]
    assert [(one["Source"], one["Destination"], one["RW"]) for one in mounts] == [
        (str(fake_root), "/.cnflow/capsule", False)
    ]
    assert report["root"] == "/.cnflow/capsule"


def test_a_capsule_that_the_engine_does_not_see_is_put_into_containers_and_the_log_says_so_once(
    start, engine, fake_root, monkeypatch, caplog
):
    monkeypatch.chdir(fake_root.parent)
    caplog.set_level("INFO", "cnflow.providers.docker.delivery")
    # The engine has another working folder, so that this path leads elsewhere for it.
    provider, block, report = start(folder=Path("/proc/self/cwd/root"))
    assert engine.containers.get(block).attrs["Mounts"] == []
    assert report["root"] == "/.cnflow/capsule"
    assert len([line for line in caplog.messages if "copied into each container" in line]) == 1
    assert provider._capsules.folder_to_mount(None) == ""


def test_the_manager_does_not_read_the_images_python_variables(start):
    _, _, report = start(environment={"PYTHONPATH": "/somewhere"})
    assert report["isolated"] == 1


def test_a_container_is_in_the_network_named_and_reached_by_its_gateway(start, engine):
    network = engine.networks.create(f"cnflow-test-{os.getpid()}")
    try:
        provider, block, _ = start(network=network.name)
        assert list(engine.containers.get(block).attrs["NetworkSettings"]["Networks"]) == [network.name]
        network.reload()
        assert list(provider.endpoint_hosts()) == [network.attrs["IPAM"]["Config"][0]["Gateway"]]
        provider.cancel([block])
    finally:
        network.remove()


def test_the_hosts_own_network_is_reached_by_the_loopback_address(provide):
    assert list(provide(network="host").endpoint_hosts()) == ["127.0.0.1"]


def test_the_default_network_is_reached_by_its_gateway(provide):
    hosts = list(provide().endpoint_hosts())
    assert len(hosts) == 1
    assert not hosts[0].startswith("127.")


def test_an_unknown_network_is_named_with_the_nearest(provide):
    with pytest.raises(BlockRejectedError, match=r"no network 'brigde'\. Did you mean 'bridge'"):
        provide(network="brigde").endpoint_hosts()


def test_variables_are_set_in_the_container(start):
    _, _, report = start(environment={"GREETING": "hello"})
    assert report["environ"]["GREETING"] == "hello"


def test_a_mounted_folder_is_in_the_container_and_read_only_if_so_asked(start, engine, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x").write_text("content")
    _, block, _ = start(mounts={str(tmp_path / "data"): "/data:ro"})
    container = engine.containers.get(block)
    assert container.exec_run(["cat", "/data/x"]).output == b"content"
    assert container.exec_run(["sh", "-c", "echo > /data/y"]).exit_code != 0


def test_a_mount_of_a_path_that_is_not_there_is_rejected_in_the_engines_words(provide, request_for, image_base, engine):
    refused = refusal(provide(mounts={"/no/such/path": "/data"}), request_for(image_base))
    assert "bind source path does not exist: /no/such/path" in refused.words
    assert not Path("/no").exists()
    _assert_nothing_left(engine)


def test_cpus_and_memory_limit_the_container_and_are_variables_of_the_manager(start, engine):
    _, block, report = start(cpus=0.5, memory="256m")
    limits = engine.containers.get(block).attrs["HostConfig"]
    assert (limits["NanoCpus"], limits["Memory"]) == (500_000_000, 256 * 2**20)
    assert report["environ"]["CNFLOW_CORES"] == "0.5"
    assert report["environ"]["CNFLOW_MEMORY"] == str(256 * 2**20)


def test_a_block_beyond_its_memory_fails_with_the_limit_in_its_message(start, until):
    provider, block, _ = start(memory="64m", environment={"FAKE_MANAGER": "hog"})
    status = until(lambda: (now := provider.status([block])[block]).state.is_final and now)
    assert status.state is BlockState.FAILED
    assert "SIGKILL" in status.message
    assert "memory='64m'" in status.message
    assert (status.cause, status.exit_code) == (EndCause.OOM, 137)


def test_a_container_runs_as_the_user_named(start):
    _, _, report = start(user="1234:567")
    assert (report["uid"], report["gid"]) == (1234, 567)


def test_further_create_options_reach_the_engine(start, engine):
    _, block, _ = start(create={"shm_size": "32m", "hostname": "elsewhere", "labels": {"team": "x"}})
    container = engine.containers.get(block)
    assert container.attrs["HostConfig"]["ShmSize"] == 32 * 2**20
    assert container.attrs["Config"]["Hostname"] == "elsewhere"
    assert container.labels["team"] == "x"


def test_output_with_a_terminal_is_read_too(start):
    _, _, report = start(create={"tty": True})
    assert report["block"] == "0"


def test_an_unknown_create_option_is_named_with_the_nearest(provide, request_for, image_base, engine):
    refused = refusal(provide(create={"shmsize": "1g"}), request_for(image_base))
    assert "no option 'shmsize'. Did you mean 'shm_size'" in refused.words
    _assert_nothing_left(engine)


def test_gpus_on_an_engine_without_any_are_refused_in_its_own_words(provide, request_for, image_base, engine):
    if "nvidia" in json.dumps(engine.info().get("Runtimes", {})):
        pytest.skip("this engine has GPUs")
    words = refusal(provide(gpus=1), request_for(image_base)).words
    assert "could not select device driver" in words or "gives no GPU to containers" in words
    _assert_nothing_left(engine)


def test_a_block_that_runs_already_is_not_started_again_and_is_found(start, request_for, image_base, engine):
    provider, block, _ = start()
    request = request_for(image_base)
    refused = provider.submit([request])[request.block]
    assert refused.kind is Refusal.UNKNOWN
    assert "already in use" in refused.words
    assert provider.find(request.run, request.executor) == {request.block: block}
    assert provider.status([block])[block].state is BlockState.RUNNING
    assert len(_ours(engine)) == 1


def test_a_container_that_was_just_created_is_left_to_the_driver_that_is_about_to_start_it(
    provide, request_for, image_base, engine
):
    provider, settings = provide(), DockerProvider()
    provider.prepare(Image(image_base))
    connected, request = Engine(settings), request_for(image_base, BlockId("9"))
    command = node_command(request, provider._images[image_base].probe, DELIVERED_ROOT)
    young = connected.create(create_arguments(request, settings, command))
    connected.close()
    try:
        provider.prepare(Image(image_base))
        assert [container.id for container in _ours(engine)] == [young]
        assert provider.status([young])[young].state is BlockState.PENDING
    finally:
        provider.cancel([young])
    _assert_nothing_left(engine)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the SDK's own, when it finds no engine
@pytest.mark.parametrize("host", ["unix:///no/such/docker.sock", "tcp://127.0.0.1:9"])
def test_an_engine_that_does_not_answer_is_reported_with_what_to_do(provide, host, image_base):
    provider = provide(host=host)
    for ask in (provider.endpoint_hosts, lambda: provider.prepare(Image(image_base))):
        with pytest.raises(BlockError, match=f"engine at {host} .*does not answer") as caught:
            ask()
        assert "DOCKER_HOST" in str(caught.value)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the SDK's own, when it finds no engine
def test_the_engine_is_the_one_that_docker_host_names(provide, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such/docker.sock")
    with pytest.raises(BlockError, match="does not answer"):
        provide().endpoint_hosts()


def test_a_container_that_a_lost_submission_created_is_replaced(provide, request_for, image_base, engine, report_of):
    provider, settings, request = provide(), DockerProvider(), request_for(image_base)
    provider.prepare(Image(image_base))
    command = node_command(request, provider._images[image_base].probe, DELIVERED_ROOT)
    connected = Engine(settings)
    leftover = connected.create(create_arguments(request, settings, command))
    connected.close()
    assert provider.find(request.run, request.executor) == {}, "it will never start"
    block = submit_one(provider, request)
    assert block != leftover
    assert report_of(request)["block"] == "0"
    assert [container.id for container in _ours(engine)] == [block]


def test_an_engine_that_stops_answering_leaves_a_block_unconfirmed(provide, request_for, image_base, monkeypatch):
    provider, request = provide(), request_for(image_base)
    provider.prepare(Image(image_base))

    def time_out(*_):
        raise BlockError("The Docker engine does not answer: read timed out")

    monkeypatch.setattr(provider._engine(), "start", time_out)
    assert provider.submit([request])[request.block].kind is Refusal.UNKNOWN
    assert provider.find(request.run, request.executor) == {}


def test_an_engine_that_forbids_its_events_is_polled(provide, monkeypatch):
    provider = provide()

    def forbid(*_):
        raise BlockRejectedError("The Docker engine refused to send its events: 403 Forbidden")

    monkeypatch.setattr(provider._engine(), "events", forbid)
    assert provider.watch(lambda: None) is None


def test_a_watch_reports_a_container_that_ends_within_a_second(start, engine):
    provider, block, _ = start()
    changed = threading.Event()
    stop = provider.watch(changed.set)
    engine.containers.get(block).kill()
    assert changed.wait(1.0)
    stop()


def test_a_driver_that_is_killed_leaves_a_block_that_another_provider_can_end(  # noqa: PLR0913, PLR0917 - fixtures
    tar, fake_root, tmp_path, request_for, image_base, capsule_cache, provide, engine
):
    script = tmp_path / "driver.py"
    script.write_text(
        "import os, pickle, signal, sys\n"
        "from cnflow.config import DockerProvider\n"
        "from cnflow.providers.docker.provider import DockerBackend\n"
        "request, tar, root, cache = pickle.loads(sys.stdin.buffer.read())\n"
        "made_by = {'capsule': lambda *_: tar, 'folder': lambda *_: root}\n"
        "blocks = DockerBackend(DockerProvider(), cache_dir=cache, **made_by)\n"
        "print(*blocks.submit([request]).values(), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    import pickle

    said = subprocess.run(
        [sys.executable, str(script)],
        input=pickle.dumps((request_for(image_base), tar, fake_root, capsule_cache)),
        capture_output=True,
        check=False,
    )
    block = said.stdout.decode().strip()
    provider = provide()
    assert provider.status([block])[block].state is BlockState.RUNNING, said.stderr
    provider.cancel([block])
    _assert_nothing_left(engine)


def refusal(provider, request):
    refused = provider.submit([request])[request.block]
    assert refused.kind is Refusal.FOR_GOOD
    assert isinstance(refused.error, BlockRejectedError)
    return refused


def _ours(engine):
    from docker.errors import APIError

    mine = {"label": "cnflow.run"}
    deadline = time.monotonic() + 20
    while True:
        try:
            found = engine.containers.list(all=True, ignore_removed=True, filters=mine)
            break
        except APIError:  # of Podman, for a container that another test is removing
            assert time.monotonic() < deadline
            time.sleep(0.5)
    return [container for container in found if container.labels["cnflow.run"].startswith(f"test-{os.getpid()}-")]


def _assert_nothing_left(engine):
    assert not [container.name for container in _ours(engine)]
