"""Whole runs on a real engine: from the decorator, through containers, to the result, and nothing left behind."""

import io
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.config import DockerProvider, HighThroughputExecutor, LocalProvider, ThreadPoolExecutor
from cnflow.errors import BlockError, ImageNotFoundError, PythonMismatchError

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]

OWN_MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"

DRIVER = """\
import sys, cnflow
from cnflow import Config, python_app
from cnflow.config import DockerProvider, HighThroughputExecutor

def nap():
    import socket, time
    print("never seen", socket.gethostname())
    time.sleep(600)

def where():
    import socket
    return socket.gethostname()

image, run_dir = sys.argv[1:]
provider = DockerProvider(init_blocks=2, max_blocks=2, create={"labels": {"cnflow.test": run_dir}})
timing = {"heartbeat_period": 0.5, "heartbeat_threshold": 3}
executor = HighThroughputExecutor(image=image, provider=provider, max_workers=1, **timing)
with cnflow.load(Config(executors=[executor], run_dir=run_dir)):
    print(python_app(where)().result(), flush=True)
    python_app(nap)().result()
"""


@pytest.fixture
def image(engine, image_base, python_of):
    """An image whose Python is the driver's."""
    if python_of(image_base) != OWN_MINOR:
        pytest.skip(f"{image_base} has another Python than this one. Run: make base-image, or use its Python")
    return image_base


@pytest.fixture
def config(tmp_path):
    def make(*executors, **options):
        return Config(executors=list(executors), run_dir=str(tmp_path / "runinfo"), **options)

    return make


@pytest.fixture
def driver(image, tmp_path, engine, until):
    """Starts a driver whose task naps in a container; gives the process and what lists its containers."""
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    process = subprocess.Popen(
        [sys.executable, str(script), image, str(tmp_path / "runinfo")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )

    def containers():
        return engine.containers.list(
            all=True, ignore_removed=True, filters={"label": f"cnflow.test={tmp_path / 'runinfo'}"}
        )

    with process:
        yield process, containers
        process.kill()
        for container in containers():
            container.remove(force=True)


def place():
    import os
    import socket

    return socket.gethostname(), os.getuid(), dict(os.environ)


def add(*numbers):
    return sum(numbers)


def nap(seconds):
    import time

    time.sleep(seconds)
    return seconds


def mark(folder, number, seconds):
    import pathlib
    import time

    with pathlib.Path(folder, str(number)).open("a") as file:
        file.write("x")
    time.sleep(seconds)
    return number


def interchanges():
    pids = [pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()]
    return [int(pid) for pid in pids if "cnflow.interchange" in Path("/proc", pid, "cmdline").read_text()]


def minor():
    import sys

    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def test_an_apps_image_is_run_by_an_executor_made_from_the_template(config, image, engine):
    with cnflow.load(config(HighThroughputExecutor(provider=DockerProvider(), max_workers=1))):
        host, _, environment = python_app(place, image=image)().result(timeout=60)
    assert host != os.uname().nodename
    assert environment["CNFLOW_WORKER_COUNT"] == "1"
    assert environment["CNFLOW_WORKER_BLOCK_ID"] == "0"


def test_a_killed_interchange_is_restarted_and_its_containers_go_on(config, image, engine, tmp_path, until):
    ran = tmp_path / "ran"
    ran.mkdir(mode=0o777)
    ran.chmod(0o777)
    provider = DockerProvider(init_blocks=2, min_blocks=2, max_blocks=2, create={"volumes": [f"{ran}:{ran}"]})
    with cnflow.load(config(HighThroughputExecutor(image=image, provider=provider, max_workers=1))) as dfk:
        until(lambda: dfk.executor_status()[0].managers == 2, timeout=60)
        futures = [python_app(mark, image=image)(str(ran), n, 3 if n == 7 else 0.01) for n in range(200)]
        for _ in range(2):
            time.sleep(0.5)
            (victim,) = until(interchanges)
            os.kill(victim, signal.SIGKILL)
        assert [future.result(timeout=60) for future in futures] == list(range(200))
        assert dfk.executor_status()[0].managers == 2
        assert {int(file.name): file.read_text() for file in ran.iterdir()} == dict.fromkeys(range(200), "x")


def test_one_graph_spans_two_images_and_the_bare_node(config, image, engine):
    other = f"cnflow-test-{uuid.uuid4().hex[:8]}:1"
    engine.images.get(image).tag(other)
    template = HighThroughputExecutor(provider=DockerProvider(), max_workers=1)
    try:
        with cnflow.load(config(template, ThreadPoolExecutor())):
            first, second, bare = python_app(add, image=image), python_app(add, image=other), python_app(add)
            assert bare(first(1, 2), second(3, first(4, 5))).result(timeout=60) == 15
    finally:
        engine.images.remove(other, force=True)


def test_the_options_reach_the_workers(config, image):
    provider = DockerProvider(cpus=1, user="1234:567", environment={"GREETING": "hello"})
    with cnflow.load(config(HighThroughputExecutor(image=image, provider=provider, cores_per_worker=0.5))):
        _, uid, environment = python_app(place)().result(timeout=60)
    assert uid == 1234
    assert environment["GREETING"] == "hello"
    assert environment["CNFLOW_WORKER_COUNT"] == "2"


def test_a_run_leaves_no_container(config, image, engine):
    label = uuid.uuid4().hex
    provider = DockerProvider(init_blocks=2, create={"labels": {"cnflow.test": label}})
    with cnflow.load(config(HighThroughputExecutor(image=image, provider=provider, max_workers=1))):
        python_app(add)(1).result(timeout=60)
    assert not engine.containers.list(all=True, ignore_removed=True, filters={"label": f"cnflow.test={label}"})


def test_a_run_whose_tasks_still_run_leaves_no_container(driver, until):
    process, containers = driver
    assert process.stdout.readline().strip()
    until(lambda: [container.status for container in containers()] == ["running", "running"])
    process.send_signal(signal.SIGINT)
    process.wait(30)
    assert not containers()


def test_a_killed_driver_leaves_no_container(driver, until):
    process, containers = driver
    assert process.stdout.readline().strip()
    until(lambda: [container.status for container in containers()] == ["running", "running"])
    os.killpg(process.pid, signal.SIGKILL)
    until(lambda: not containers(), timeout=40)


def test_a_missing_image_fails_its_own_tasks_alone(config, image):
    with cnflow.load(config(HighThroughputExecutor(provider=DockerProvider(pull="never"), max_workers=1))):
        missing, good = python_app(add, image="cnflow-no-such:1")(1), python_app(add, image=image)(2)
        with pytest.raises(ImageNotFoundError, match="cnflow-no-such:1"):
            missing.result(timeout=60)
        assert good.result(timeout=60) == 2


def test_traceback_from_an_image_shows_the_users_file_and_its_lines(config, image):
    @python_app(image=image)
    def divide(a, b):
        return a / b  # shown

    with cnflow.load(config(HighThroughputExecutor(provider=DockerProvider(), max_workers=1))):
        error = divide(1, 0).exception(120)
    assert isinstance(error, ZeroDivisionError)
    line = divide.__wrapped__.__code__.co_firstlineno + 2
    assert f'File "{__file__}", line {line}, in divide\n    return a / b  # shown\n' in str(error.__cause__)


def test_an_option_that_the_engine_refuses_fails_the_tasks_in_its_words(config, image):
    provider = DockerProvider(mounts={"/no/such/path": "/data"})
    with cnflow.load(config(HighThroughputExecutor(image=image, provider=provider))):
        failed = python_app(add)(1)
        with pytest.raises(BlockError, match="bind source path does not exist"):
            failed.result(timeout=60)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the SDK's own, when it finds no engine
def test_an_engine_that_does_not_answer_fails_the_tasks_with_what_to_do(config):
    provider = DockerProvider(host="unix:///no/such/docker.sock")
    with cnflow.load(config(HighThroughputExecutor(image="any:1", provider=provider))):
        failed = python_app(add)(1)
        with pytest.raises(BlockError, match="does not answer"):
            failed.result(timeout=60)


@pytest.mark.pythons
def test_one_function_runs_in_images_with_two_pythons(config, image, image_base, engine, pythons):
    other = "3.9" if OWN_MINOR != "3.9" else "3.10"
    home = Path(pythons[other]).resolve().parent.parent
    tag = f"cnflow-test-{uuid.uuid4().hex[:8]}:1"
    dockerfile = f"FROM {image_base}\nENV PATH={home}/bin:/usr/bin:/bin\n"
    engine.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag=tag, rm=True)
    template = HighThroughputExecutor(provider=DockerProvider(mounts={str(home): f"{home}:ro"}), max_workers=1)
    try:
        with cnflow.load(config(template, HighThroughputExecutor(label="bare", provider=LocalProvider()))):
            elsewhere, here = python_app(minor, image=tag)(), python_app(minor, image=image)()
            ambiguous = python_app(image=tag)((lambda: 1, lambda: 2)[0])()
            assert elsewhere.result(timeout=60) == other
            assert here.result(timeout=60) == OWN_MINOR
            with pytest.raises(PythonMismatchError) as caught:
                ambiguous.result(timeout=60)
    finally:
        engine.images.remove(tag, force=True)
    assert f"cannot run on Python {other}" in str(caught.value)
    assert f"the driver has Python {OWN_MINOR}" in str(caught.value)
    assert tag in str(caught.value)


def test_an_app_that_names_another_app_runs_in_an_image(config, image):
    @python_app(image=image)
    def increment(number):
        return number + 1

    @python_app(image=image)
    def twice(number):
        return increment(increment(number))  # inside a task, an app is the plain function

    template = HighThroughputExecutor(provider=DockerProvider(), max_workers=1)
    with cnflow.load(config(template)):
        assert twice(5).result(timeout=60) == 7


def test_a_killed_container_is_replaced_and_its_tasks_run_again_without_waiting_for_a_heartbeat(config, image, engine):
    label = uuid.uuid4().hex
    provider = DockerProvider(create={"labels": {"cnflow.test": label}})
    with cnflow.load(config(HighThroughputExecutor(image=image, provider=provider, max_workers=1))):
        python_app(add)(1).result(timeout=60)
        futures = [python_app(nap)(0.2) for _ in range(5)]
        (container,) = engine.containers.list(filters={"label": f"cnflow.test={label}"})
        begin = time.monotonic()
        container.kill()
        assert [future.result(timeout=60) for future in futures] == [0.2] * 5
        assert time.monotonic() - begin < 30, "that is what a heartbeat alone would take"


def test_a_template_may_be_named_in_two_ways(config, image):
    template = HighThroughputExecutor(label="boxes", provider=DockerProvider(), max_workers=1)
    with cnflow.load(config(template)) as dfk:
        first = python_app(add, image=image)
        second = python_app(add, image=image, executors="boxes")
        assert (first(1, 2).result(timeout=60), second(3, 4).result(timeout=60)) == (3, 7)
        assert len(dfk.executor_status()) == 1


def test_a_run_that_ends_while_a_container_starts_leaves_none(config, image, engine):
    label = uuid.uuid4().hex
    provider = DockerProvider(create={"labels": {"cnflow.test": label}})
    for delay in (0, 0.1, 0.3, 0.5):
        with cnflow.load(config(HighThroughputExecutor(image=image, provider=provider, max_workers=1))) as dfk:
            time.sleep(delay)
            dfk.cleanup()
    assert not engine.containers.list(all=True, ignore_removed=True, filters={"label": f"cnflow.test={label}"})
