"""Shared by all tests: skips for missing services, groups for pytest-xdist, a fake manager, requests for blocks."""

import base64
import gc
import http.server
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import hypothesis
import pytest

from cnflow.dataflow import loaded_run
from cnflow.ids import BlockId, RunId
from cnflow.model.block import BlockRequest
from cnflow.model.image import Image
from cnflow.model.manager_settings import ManagerSettings
from tests.services.ec2_cloud import ec2_places
from tests.services.gce_cloud import gce_address
from tests.services.globus_person import globus_places
from tests.services.kubernetes_cluster import HELM, shared_cluster
from tests.services.registries import gateway_of, read_places

# Where this was started in the background, Ctrl-C is ignored, and would be by every driver that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Tests write a module twice within a second: Python would find the compiled one of the first time to be fresh.
sys.dont_write_bytecode = True

# A busy machine exceeds any deadline. Other settings of the profile for CI, such as the same examples each time, stay.
# Without the phase "explain" nothing is traced: the signal of a time limit that meets tracing can hang CPython 3.11.
_PHASES = [phase for phase in hypothesis.Phase if phase != hypothesis.Phase.explain]
hypothesis.settings.register_profile("no deadline", deadline=None, phases=_PHASES)
hypothesis.settings.load_profile("no deadline")

MINORS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
OWN_MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"

FAKE_MANAGER = """\
import json, os, signal, subprocess, sys, time
path, mode = sys.argv[1], os.environ.get("FAKE_MANAGER", "")
seen = os.stat(path)
folder = os.stat(os.path.dirname(path))
with open(path) as file:
    settings = json.load(file)
if "--unlink" in sys.argv[2:]:
    os.unlink(path)
with open("/proc/1/cmdline") as first:
    init = first.read().split("\\0")
print(json.dumps({
    "argv": sys.argv, "environ": dict(os.environ), "init": init, "pid": os.getpid(), "sid": os.getsid(0),
    "uid": os.getuid(), "gid": os.getgid(), "mode": oct(seen.st_mode & 0o777), "owner": seen.st_uid,
    "folder": oct(folder.st_mode & 0o777), "block": settings["block"], "version": sys.version.split()[0],
    "isolated": sys.flags.isolated, "file": path, "root": os.path.abspath(__file__).rsplit("/cnflow/", 1)[0],
}), flush=True)
if mode == "exit":
    print("cannot go on", file=sys.stderr, flush=True)
    sys.exit(3)
if mode == "hog":
    hog = bytearray(512 * 2 ** 20)
if mode == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if mode == "family":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], preexec_fn=os.setpgrp)
    print("child", child.pid, flush=True)
if mode == "import":
    import cloudpickle, msgspec, zmq
    print("imported", zmq.__file__, flush=True)
while True:
    time.sleep(60)
"""


_TAKE_TURNS = {
    "dockerd": "root",
    "root": "root",
    "docker": "docker",
    "podman": "podman",
    "rootless": "podman",
    "registry": "docker",
    "htcondor": "htcondor",
    "chromium": "chromium",
}
"""Marker -> group whose tests run one after the other, in one process of pytest-xdist."""


def pytest_collection_modifyitems(items):
    """Group the tests that share an engine, or that change networks and mounts, for ``--dist loadgroup``."""
    for item in items:
        group = next((group for name, group in _TAKE_TURNS.items() if item.get_closest_marker(name)), None)
        if group is not None:
            item.add_marker(pytest.mark.xdist_group(group))


def pytest_generate_tests(metafunc):
    """Run a test with the marker ``engines`` once on each engine that shares Docker's API."""
    if metafunc.definition.get_closest_marker("engines"):
        podman = pytest.param("podman", marks=[pytest.mark.podman, pytest.mark.long])  # `make podman` runs these
        engines = [pytest.param("docker", marks=pytest.mark.docker), podman]
        metafunc.parametrize("engine_name", engines, indirect=True, scope="session")


def pytest_runtest_setup(item):
    for name, missing in _MISSING.items():
        if item.get_closest_marker(name) and (why := missing()):
            skip_or_fail(name, why)


def skip_or_fail(name, why):
    """Skip the test, which needs *name*; fail it where CNFLOW_REQUIRE names that."""
    required = os.environ.get("CNFLOW_REQUIRE", "").split(",")
    (pytest.fail if name in required else pytest.skip)(why)


@cache
def _no_chromium():
    if find_spec("playwright") is None:
        return "No Playwright. Run: pip install 'cnflow[test]'"
    return "" if shutil.which("chromium") else "No Chromium. Run: tests/services/chromium/up"


@cache
def _no_docker():
    try:
        import docker
    except ModuleNotFoundError:
        return "No Docker SDK. Run: pip install 'cnflow[docker]'"
    why = ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            docker.from_env(timeout=10).close()
        except docker.errors.DockerException as error:
            why = f"No Docker engine responds ({error}). Run: tests/services/docker/up"
        gc.collect()  # the SDK leaves its socket open after it found no engine
    return why


DOCKER = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
"""Address of the engine that has the images of the tests."""

PODMAN = f"unix://{os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'}/cnflow/services/podman.sock"
"""Address of the service that tests/services/podman/up starts."""


@cache
def _no_podman():
    if why := _no_docker():  # its engine has the images that tests load
        return why
    import docker

    try:
        docker.DockerClient(base_url=PODMAN, timeout=10).close()
    except docker.errors.DockerException as error:
        return f"Podman does not respond ({error}). Run: tests/services/podman/up"
    finally:
        gc.collect()  # the SDK leaves its socket open after it found no engine
    return ""


ROOTLESS_USER = "cnflow-rootless"
"""User that tests/services/rootless/up makes."""


def rootless_socket():
    """Address of the service that tests/services/rootless/up starts; empty if its user is not there."""
    try:
        return f"unix:///run/user/{pwd.getpwnam(ROOTLESS_USER).pw_uid}/podman/podman.sock"
    except KeyError:
        return ""


@cache
def _no_rootless():
    if why := _no_root() or _no_docker():
        return why
    import docker

    try:
        docker.DockerClient(base_url=rootless_socket() or "unix:///nowhere", timeout=10).close()
    except docker.errors.DockerException as error:
        return f"No Podman of a user without rights responds ({error}). Run: tests/services/rootless/up"
    finally:
        gc.collect()  # the SDK leaves its socket open after it found no engine
    return ""


@cache
def _interpreters():
    found = {minor: path for minor in MINORS if (path := _pyenv(minor) or shutil.which(f"python{minor}"))}
    if sys.executable:
        found.setdefault(OWN_MINOR, sys.executable)
    return found


def _pyenv(minor):
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    return next((str(path) for path in sorted(versions.glob(f"{minor}.*/bin/python{minor}"))), None)


def _no_pythons():
    missing = sorted(set(MINORS) - _interpreters().keys())
    return f"No interpreter for Python {', '.join(missing)}. Run: pyenv install {' '.join(missing)}" if missing else ""


SERVICES = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cnflow" / "services"
"""Folder of what the services in tests/services keep."""
SERVING_CLIENTS = SERVICES / "serving" / "venv" / "bin" / "python"
"""Python with the clients that tests/services/serving/requirements.txt names."""

GRID_ENGINE = {"SGE_ROOT": "/var/lib/gridengine", "SGE_CELL": "default"}
"""Variables of the Grid Engine that tests/services/gridengine/up starts."""

TORQUE = {
    "PATH": f"{SERVICES / 'torque' / 'usr' / 'bin'}:{os.environ.get('PATH', '')}",
    "SLURM_CONF": str(SERVICES / "slurm" / "slurm.conf"),
}
"""Variables of the commands that tests/services/torque/up makes."""


@cache
def _no_gridengine():
    return _no_answer("qconf -sq short.q", GRID_ENGINE, "Grid Engine", "gridengine")


@cache
def _no_torque():
    return _no_answer(str(SERVICES / "torque" / "usr" / "bin" / "qstat") + " -Q", TORQUE, "Torque's qstat", "torque")


def _no_answer(command, variables, what, service):
    asked = ["sh", "-c", f"exec timeout 20 {command}"]
    done = subprocess.run(asked, env={**os.environ, **variables}, capture_output=True, check=False)
    words = done.stderr.decode().strip()
    return f"{what} does not respond ({words}). Run: tests/services/{service}/up" if done.returncode else ""


def _no_root():
    if sys.platform != "linux" or os.geteuid() != 0:
        return "Namespaces, mounts and control groups are made by root on Linux alone. Run: sudo .venv/bin/pytest"
    lacking = [name for name in ("ip", "iptables", "mount") if shutil.which(name, path=_SYSTEM_PATH) is None]
    return f"No {' and '.join(lacking)}. Run: sudo apt-get install iproute2 iptables mount" if lacking else ""


def _no_dockerd():
    there = shutil.which("dockerd", path=_SYSTEM_PATH)
    return _no_root() or _no_docker() or ("" if there else "No dockerd. Run: sudo apt-get install docker.io")


def _no_cc():
    return "" if shutil.which("cc") else "No C compiler. Run: sudo apt-get install gcc libc6-dev"


_SYSTEM_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def _no_sshd():
    lacking = [
        name for name in ("ssh", "sshd", "tcsh", "bsd-csh", "fish") if shutil.which(name, path=_SYSTEM_PATH) is None
    ]
    return f"No {' and '.join(lacking)}. Run: tests/services/sshd/up" if lacking else ""


def _no_nginx():
    lacking = [name for name in ("nginx", "openssl") if shutil.which(name, path=_SYSTEM_PATH) is None]
    return f"No {' and '.join(lacking)}. Run: tests/services/nginx/up" if lacking else ""


def _no_postgres():
    if not any(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        return "No PostgreSQL. Run: tests/services/postgres/up"
    return ""


def _no_rsync():
    return _no_sshd() or ("" if shutil.which("rsync") else "No rsync. Run: tests/services/sshd/up")


def store_addresses():
    """Name -> host and port of the stores that tests/services/s3/up starts: ``s3``, ``gcs``."""
    lines = (Path(__file__).parent / "services/s3/place").read_text().splitlines()
    pairs = (line.split("=") for line in lines if not line.startswith("#"))
    return {name: address.split(":") for name, address in pairs}


def _no_s3():
    for name, address in store_addresses().items():
        try:
            socket.create_connection(address, timeout=2.0).close()
        except OSError:
            return f"No store with the API of {name} answers. Run: tests/services/s3/up"
    return ""


def _no_parallel():
    return "" if shutil.which("parallel") else "No GNU parallel. Run: tests/services/parallel/up"


def mpi_folder():
    """Folder of the programs of the MPI that tests/services/mpi/up installs."""
    return slurm_conf("mpi").parent / "bin"


def _no_mpi():
    there = (mpi_folder() / "mpiexec").is_file() and shutil.which("mpirun.openmpi")
    return "" if there else "No MPICH and Open MPI were installed for tests. Run: tests/services/mpi/up"


@cache
def _no_slurm(name="slurm"):
    conf = slurm_conf(name)
    advice = f"Run: sudo tests/services/{name}/up"
    if not conf.is_file():
        return f"No Slurm was started: there is no {conf}. {advice}"
    asked = ["timeout", "20", "sinfo", "--noheader"]
    done = subprocess.run(asked, env={**os.environ, "SLURM_CONF": str(conf)}, capture_output=True, check=False)
    return "" if done.returncode == 0 else f"Slurm does not respond: {done.stderr.decode().strip()}. {advice}"


def slurm_conf(name):
    """Configuration of the Slurm that tests/services/NAME/up starts."""
    cache_home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache_home / "cnflow" / "services" / name / "slurm.conf"


@cache
def _no_htcondor():
    if why := _no_docker():
        return why
    asked = ["docker", "exec", "cnflow-htcondor", "timeout", "20", "condor_status", "-af", "Name"]
    done = subprocess.run(asked, capture_output=True, check=False)
    return "" if done.stdout.strip() else "No HTCondor pool answers. Run: tests/services/htcondor/up"


@cache
def _no_suites():
    if why := _no_docker():
        return why
    import docker

    client = docker.from_env()
    try:
        lacking = [suite for suite in ("trixie", "sid") if not client.images.list(name=f"cnflow-base:{suite}")]
    finally:
        client.close()
    return f"No image of Debian {' and '.join(lacking)}. Run: make suites" if lacking else ""


@cache
def _no_registry():
    if why := _no_docker():
        return why
    import docker

    client = docker.from_env()
    try:
        places = read_places(gateway_of(client))
    finally:
        client.close()
    for name in ("plain", "password", "tls"):
        host, _, port = places[name].rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=2.0).close()
        except OSError:
            return f"No registry answers at {places[name]}. Run: tests/services/registry/up"
    return ""


@cache
def _no_globus():
    try:
        socket.create_connection(("127.0.0.1", int(globus_places()["port"])), timeout=2.0).close()
    except OSError:
        return "No stand-in of Globus answers. Run: tests/services/globus/up"
    return ""


@cache
def _no_ec2():
    try:
        socket.create_connection(("127.0.0.1", int(ec2_places()["port"])), timeout=2.0).close()
    except OSError:
        return "No stand-in of EC2 answers. Run: tests/services/ec2/up"
    return ""


@cache
def _no_gce():
    try:
        socket.create_connection(gce_address(), timeout=2.0).close()
    except OSError:
        return "No stand-in of Compute Engine answers. Run: tests/services/gce/up"
    return ""


def _no_apptainer():
    return "" if shutil.which("apptainer") else "No Apptainer. Run: tests/services/apptainer/up"


@cache
def _no_kubernetes():
    advice = "Run: sudo tests/services/kubernetes/up"
    try:
        cluster = shared_cluster()
    except FileNotFoundError:
        return f"No Kubernetes was started. {advice}"
    answer = cluster.kubectl("get", "--raw", "/readyz", "--request-timeout=20s", check=False).strip()
    return "" if answer == "ok" else f"Kubernetes does not respond ({answer}). {advice}"


def _no_helm():
    return "" if HELM.is_file() else "No helm was installed. Run: tests/services/helm/up"


def _no_collector():
    built = SERVICES / "collector" / "collector"
    return "" if built.is_file() else "No collector of OpenTelemetry was built. Run: tests/services/collector/up"


def _no_serving():
    return "" if SERVING_CLIENTS.is_file() else "No clients of served models. Run: tests/services/serving/up"


def _no_charliecloud():
    return "" if shutil.which("ch-run", path=_SYSTEM_PATH) else "No ch-run. Run: tests/services/charliecloud/up"


_MISSING = {
    "apptainer": _no_apptainer,
    "cc": _no_cc,
    "charliecloud": _no_charliecloud,
    "chromium": _no_chromium,
    "collector": _no_collector,
    "docker": _no_docker,
    "dockerd": _no_dockerd,
    "ec2": _no_ec2,
    "gce": _no_gce,
    "globus": _no_globus,
    "gridengine": _no_gridengine,
    "helm": _no_helm,
    "htcondor": _no_htcondor,
    "kubernetes": _no_kubernetes,
    "mpi": _no_mpi,
    "nginx": _no_nginx,
    "parallel": _no_parallel,
    "podman": _no_podman,
    "postgres": _no_postgres,
    "pythons": _no_pythons,
    "registry": _no_registry,
    "root": _no_root,
    "rootless": _no_rootless,
    "rsync": _no_rsync,
    "s3": _no_s3,
    "serving": _no_serving,
    "slurm": _no_slurm,
    "slurm_accounting": lambda: _no_slurm("slurm_accounting"),
    "sshd": _no_sshd,
    "suites": _no_suites,
    "torque": _no_torque,
}
"""Marker -> function that returns the reason why this machine cannot run such tests; empty if it can."""


@pytest.fixture(autouse=True)
def _no_run_is_left_loaded():
    """End the run that a test leaves loaded, and fail that test alone: each later one would find it."""
    before = loaded_run.current()
    yield
    left = loaded_run.current()
    if left is not None and left is not before:
        left.cleanup()
        loaded_run.clear(left)
        pytest.fail(f"the test left its run loaded: {left.run_dir}")


@pytest.fixture(scope="session")
def pythons():
    """Minor version -> path of an interpreter, for each that capsules are made for; use with the marker ``pythons``."""
    return _interpreters()


@pytest.fixture(scope="session", autouse=True)
def engine_name(request):
    """``podman`` where a test with the marker ``engines`` runs on that one, else ``docker``; see ``make podman``."""
    return getattr(request, "param", os.environ.get("CNFLOW_TEST_ENGINE", "docker"))


@pytest.fixture(autouse=True)
def _providers_use_the_engine_of_the_test(engine_name, monkeypatch):
    if engine_name == "podman":
        monkeypatch.setenv("DOCKER_HOST", PODMAN)


@pytest.fixture(scope="session")
def engine(engine_name):
    """A client of the engine; use with the marker ``docker``, or with ``engines`` to run a test on each."""
    import docker

    client = docker.DockerClient(base_url=PODMAN) if engine_name == "podman" else docker.from_env()
    yield client
    client.close()


@pytest.fixture(scope="session")
def has_image(engine, engine_name):
    """Loads an image into the engine of the test from Docker's, if it lacks it: ``has_image(name) -> name``."""
    return lambda name: load_image(engine, name) if engine_name == "podman" else name


def load_image(engine, name):
    """Load the image *name* from the Docker engine into another *engine* that lacks it; return the name."""
    import docker

    source = docker.DockerClient(base_url=DOCKER)
    image = source.images.get(name)
    if image.id not in {each.id for each in engine.images.list()}:
        engine.images.load(image.save(named=name))
    source.close()
    return name


@pytest.fixture(scope="session")
def base_name():
    """Name of an image of the Docker engine with Python, best the driver's own minor, that needs no registry."""
    import docker

    wanted = [os.environ.get("CNFLOW_TEST_IMAGE", ""), f"python:{OWN_MINOR}-slim", f"cnflow-base:{OWN_MINOR}"]
    client = docker.DockerClient(base_url=DOCKER)
    there = [tag.removeprefix("localhost/") for image in client.images.list() for tag in image.tags]
    client.close()
    found = next((tag for tag in wanted if tag in there), None) or next(
        (tag for tag in there if re.match(r"cnflow-base:|python:3\.\d+-slim", tag)), None
    )
    if found is None:
        skip_or_fail("docker", "The engine has no image with Python. Run: make base-image")
    return found


@pytest.fixture(scope="session")
def image_base(base_name, has_image):
    """Name of an image with Python, best the driver's own minor, that needs no registry."""
    return has_image(base_name)


@pytest.fixture(scope="session")
def cluster():
    """The Kubernetes cluster that all tests share; use with the marker ``kubernetes``."""
    return shared_cluster()


@pytest.fixture
def namespace(cluster):
    """Name of a fresh namespace of the cluster, removed after the test."""
    with cluster.namespace() as name:
        yield name


@pytest.fixture(scope="session")
def pod_image(cluster, base_name):
    """Name of an image with Python, best the driver's own minor, that the nodes of the cluster have."""
    return cluster.load_image(base_name)


@pytest.fixture(scope="session")
def capsule_cache(tmp_path_factory):
    """Folder of a cache of capsules for the tests of one process, apart from the user's."""
    return tmp_path_factory.getbasetemp() / "capsules"


@pytest.fixture
def fake_root(tmp_path):
    """A root folder whose manager is a fake: it reports its surroundings and waits for its end."""
    entry = tmp_path / "root" / "cnflow" / "manager" / "__main__.py"
    entry.parent.mkdir(parents=True)
    entry.write_text(FAKE_MANAGER)
    return tmp_path / "root"


@pytest.fixture
def request_for(tmp_path):
    """Makes requests for blocks: ``request_for(image, block="0")``."""
    run = RunId(f"test-{os.getpid()}-{time.monotonic_ns()}")

    def make(image="", block="0"):
        manager = ManagerSettings(
            hosts=("127.0.0.1",),
            endpoint="tcp://{host}:9",
            executor="htex",
            block=block,
            secret_key="S3CRET-S3CRET",
            address_probe_timeout=1.0,
        )
        return BlockRequest(run, "htex", BlockId(block), Image.of(image), manager, tmp_path / f"block-{block}.log")

    return make


@pytest.fixture
def until():
    """Waits until a condition holds, for things that another process does; fails after *timeout* seconds."""

    def wait(condition, timeout=20.0):
        deadline = time.monotonic() + timeout
        while not (value := condition()):
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.02)
        return value

    return wait


@pytest.fixture
def report_of(until):
    """Waits for the report of the fake manager: one line of JSON in the log of its block."""

    def line(log_file):
        text = log_file.read_text() if log_file.exists() else ""
        return next((line for line in text.splitlines(keepends=True) if line[0] == "{" and line[-1] == "\n"), None)

    return lambda request: json.loads(until(lambda: line(request.log_file)))


class Web:
    """HTTP server with settable content; records its requests."""

    def __init__(self):
        self.files = {}
        """Content by path."""
        self.troubles = {}
        """Replies that precede the content, by path: a status, "short" for half of the content, or a function that
        writes the reply, given the request's handler."""
        self.passwords = {}
        """``user:password`` that a request needs, by path."""
        self.asked = []
        self.headers = []
        """Headers of the requests in `asked`."""
        self.url = ""

    def add(self, path, content):
        self.files[path] = content
        return self.url + path


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        web, path = self.server.web, self.path
        web.asked.append(path)
        web.headers.append(dict(self.headers))
        trouble = web.troubles[path].pop(0) if web.troubles.get(path) else None
        if callable(trouble):
            trouble(self)
            self.close_connection = True
            return
        wanted = web.passwords.get(path)
        if wanted and self.headers.get("Authorization") != f"Basic {base64.b64encode(wanted.encode()).decode()}":
            trouble = 401
        content = web.files.get(path)
        status = trouble if isinstance(trouble, int) else 404 if content is None else 200
        body = content if status == 200 else b"<html>this is no data</html>"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if trouble == "short" else body)

    def do_PUT(self):
        self.server.web.files[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def web():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.web = Web()
    server.web.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server.web
    server.shutdown()
    server.server_close()
    thread.join()


class Ftp:
    """FTP server: its folder, its anonymous and its password URL."""

    def __init__(self, folder, port):
        self.folder = folder
        self.anonymous = f"ftp://127.0.0.1:{port}"
        self.with_password = f"ftp://ann:p%40ss@127.0.0.1:{port}"
        self.port = port


@pytest.fixture
def ftp(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports the deprecated asyncore
        from pyftpdlib.authorizers import DummyAuthorizer
        from pyftpdlib.handlers import FTPHandler
        from pyftpdlib.servers import FTPServer
    for name in ("public", "private"):
        (tmp_path / "ftp" / name).mkdir(parents=True)
    users = DummyAuthorizer()
    users.add_anonymous(str(tmp_path / "ftp" / "public"))
    users.add_user("ann", "p@ss", str(tmp_path / "ftp" / "private"), perm="elradfmw")
    handler = type("Handler", (FTPHandler,), {"authorizer": users, "log": lambda *_, **__: None})
    server = FTPServer(("127.0.0.1", 0), handler)
    done = threading.Event()

    def serve():
        while not done.is_set():
            server.serve_forever(timeout=0.02, blocking=False, handle_exit=False)
        server.close_all()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield Ftp(tmp_path / "ftp", server.address[1])
    done.set()
    thread.join()
