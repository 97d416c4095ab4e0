"""Requests to a server of models as any client sends them, and models that tests serve."""

import http.client
import json
import signal
import subprocess
import sys
import threading
import urllib.request
from urllib.parse import urlsplit

from benchmarks.serving.load import Generator, Plan, Target
from cnflow.cli.model_server import ask as ask_server
from tests.waiting import wait_until


class Answer:
    """Answer to one request."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        """Code and message of an error."""
        found = self.json["error"]
        return found["code"], found["message"]


def request(url, path, body=None, headers=None, timeout=60.0):
    """Send one request; *body* is bytes, or a value for JSON."""
    sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=timeout)
    try:
        method = "GET" if sent is None else "POST"
        connection.request(method, path, sent, {"Content-Type": "application/json", **(headers or {})})
        return Answer(connection.getresponse())
    finally:
        connection.close()


def predict(url, model, rows, **options):
    """Ask *model* for the results of *rows*."""
    return request(url, f"/v1/models/{model}:predict", {"rows": rows}, **options)


class Load:
    """Requests of ``[[n]]`` at a rate, in a thread, from ``with`` until its end, or until `finish`.

    Args:
        url: of the server.
        model: name of the model.
        is_right: gets n and the answer's first result.
        rate: requests a second.
        connections: that stay open.
    """

    def __init__(self, url, model, is_right, rate=80.0, connections=8):
        bodies = [json.dumps({"rows": [number]}).encode() for number in range(50)]

        def check(index, status, body):
            if status != 200:
                return f"{status} {body[:200]!r}"
            self.last = json.loads(body)["results"][0]
            return "" if is_right(index, self.last) else f"wrong answer for {index}: {body[:100]!r}"

        self.last = None
        target = Target(f"{url}/v1/models/{model}:predict", bodies)
        self._generator = Generator(target, Plan(connections, 120.0, rate=rate, timeout=60.0), check)
        self._thread = threading.Thread(target=self._generator.run, daemon=True)

    def __enter__(self):
        self._thread.start()
        self.more(10)
        return self

    def more(self, count, timeout=60.0):
        """Wait until *count* more requests are answered."""
        wanted = self.done + count
        wait_until(lambda: self.done >= wanted, timeout, 0.02)

    @property
    def done(self):
        """Number of requests that are answered, or have failed."""
        figures = self._generator.figures
        return len(figures.latencies) + figures.failed

    def finish(self):
        """Send no more, wait for the last answers, and return the figures."""
        self._generator.stop()
        self._thread.join(90)
        assert not self._thread.is_alive()
        return self._generator.figures

    def __exit__(self, *_):
        self.finish()


class ServeCommand:
    """``cnflow serve`` in *folder*, at any free port, and requests to it."""

    def __init__(self, folder, *arguments):
        self.folder = folder
        argv = [sys.executable, "-m", "cnflow.cli", "serve", *arguments, "--port", "0"]
        self.process = subprocess.Popen(argv, cwd=folder, stderr=subprocess.PIPE, text=True)
        line = self.process.stderr.readline()
        assert " serves " in line, line + self.process.stderr.read()
        self.url = line.split()[2]

    def ask(self, model, rows, timeout=60):
        body = json.dumps({"rows": rows}).encode()
        request = urllib.request.Request(f"{self.url}/v1/models/{model}:predict", body)
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return json.load(answer)["results"]

    def is_busy(self, calls=1):
        """Whether *calls* have no result yet."""
        rows = [each for model in self.status()["models"] for each in model["versions"]]
        return sum(each["in_flight"] for each in rows) >= calls

    def command(self, *arguments):
        argv = [sys.executable, "-m", "cnflow.cli", "serve", *arguments]
        return subprocess.run(argv, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False)

    def status(self):
        return ask_server(self.folder / "runinfo", {"do": "status"})

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.communicate(timeout=60)[1]
        finally:
            self.process.kill()
