"""Models on real Slurm: the front at the site or on a laptop that has only ssh to a login node, workers in jobs."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import slurm_conf
from tests.services.laptop import Laptop
from tests.waiting import wait_until

pytestmark = [pytest.mark.slurm, pytest.mark.sshd, pytest.mark.root, pytest.mark.timeout(240)]

MODEL = """\
from cnflow import model_app

@model_app
def where(rows):
    import os
    return [[row, os.environ.get("SLURM_JOB_ID")] for row in rows]
"""

ASK = """\
import json, sys, time, urllib.request
body = json.dumps({"rows": [1, 2]}).encode()
deadline = time.monotonic() + 60
while True:
    try:
        answer = urllib.request.urlopen(urllib.request.Request(sys.argv[1], body), timeout=60)
    except urllib.error.URLError as error:
        if time.monotonic() > deadline:
            raise
        time.sleep(0.2)
    else:
        print(answer.read().decode())
        break
"""


@pytest.fixture
def laptop(tmp_path):
    made = Laptop(tmp_path)
    yield made
    made.close()


@pytest.fixture
def start():
    """Starts a command in the background, in the way of *run*; all are ended after the test."""
    begun = []

    def start(run, *words, **options):
        argv = [sys.executable, "-m", "cnflow.cli", "serve", *words]
        process = run(argv, stderr=subprocess.PIPE, **options)
        begun.append(process)
        return process

    yield start
    for process in reversed(begun):
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=60)
        finally:
            process.kill()


def settings(folder, **provider):
    """Write a configuration whose models run in a job of Slurm, and its module, into *folder*."""
    folder.mkdir(exist_ok=True)
    (folder / "shop.py").write_text(MODEL)
    provider = {"kind": "slurm", "exclusive": False, "runtime": "none", "walltime": 600, **provider}
    executors = [{"kind": "high_throughput", "label": "site", "max_workers": 1, "provider": provider}]
    models = [{"name": "where", "app": "shop:where"}]
    (folder / "serve.json").write_text(json.dumps({"executors": executors, "models": models}))
    return folder / "serve.json"


def url_of(server):
    """Address of a server, which it prints first."""
    line = server.stderr.readline()
    assert " serves " in line, line + server.stderr.read()
    return line.split()[2]


def ask(laptop, url):
    """Answer to a request from the laptop."""
    with laptop.run([sys.executable, "-c", ASK, f"{url}/v1/models/where:predict"], stderr=subprocess.PIPE) as client:
        out, errors = client.communicate(timeout=120)
    assert client.returncode == 0, errors
    return json.loads(out)["results"]


def jobs():
    argv = ["squeue", "--noheader", "--format=%i", "--states=PD,R,CG"]
    environment = {**os.environ, "SLURM_CONF": str(slurm_conf("slurm"))}
    return subprocess.run(argv, check=True, capture_output=True, text=True, env=environment).stdout.split()


def test_server_at_the_site_is_brought_to_a_laptop_again_after_each_loss(laptop, start, tmp_path):
    site = tmp_path / "login"
    config = settings(site)
    environment = {**os.environ, "SLURM_CONF": str(slurm_conf("slurm"))}

    def at_the_site(argv, **options):
        return subprocess.Popen(argv, cwd=site, env=environment, text=True, **options)

    server = start(at_the_site, config.name, "--port", "0")
    port = url_of(server).rpartition(":")[2]
    assert not laptop.can_reach(int(port))
    channel = laptop.channel()
    words = ["-i", channel["key_file"], *channel["options"]]
    cnflow = Path(sys.executable).with_name("cnflow")
    address = f"ssh://{channel['user']}@{laptop.gateway}:{channel['port']}{site}"
    options = ["--port", "8000", "--command", str(cnflow), "--ssh-options", " ".join(words)]
    forward = start(laptop.run, "forward", address, *options)
    assert "http://127.0.0.1:8000 is " in (line := forward.stderr.readline()), line + forward.stderr.read()
    (one, job), (two, _) = ask(laptop, "http://127.0.0.1:8000")
    assert (one, two) == (1, 2)
    assert job in jobs()
    wait_until(lambda: len(laptop.sshd.connections()) == 1)
    laptop.cut()
    while "It connects again" not in (line := forward.stderr.readline()):
        assert line
    assert ask(laptop, "http://127.0.0.1:8000") == [[1, job], [2, job]]
    forward.send_signal(signal.SIGTERM)
    assert forward.wait(30) == 0
    wait_until(lambda: not laptop.sshd.connections())  # its ssh has ended with it
    server.send_signal(signal.SIGTERM)
    assert "has ended" in server.communicate(timeout=60)[1]
    wait_until(lambda: job not in jobs())


def test_server_on_a_laptop_has_its_workers_in_jobs_behind_a_login(laptop, start):
    channel = laptop.channel(SLURM_CONF=str(slurm_conf("slurm")))
    config = settings(laptop.folder, channel=channel, site_dir=str(laptop.site))
    server = start(laptop.run, str(config), "--port", "0")
    url = url_of(server)
    [_, job], _ = ask(laptop, url)
    assert job in jobs()
    assert laptop.interchanges(), "the interchange is at the site"
    began = time.monotonic()
    laptop.cut()
    assert ask(laptop, url) == [[1, job], [2, job]]
    assert time.monotonic() - began < 60
    server.send_signal(signal.SIGTERM)
    assert "has ended" in server.communicate(timeout=60)[1]
    wait_until(lambda: job not in jobs())
