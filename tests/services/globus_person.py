"""The stand-in of Globus that tests/services/globus/up starts, and a person who logs in to it."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from pathlib import Path

PLACES = Path(__file__).with_name("globus") / "places"
STATE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cnflow" / "services" / "globus"


def globus_places():
    """Names and values of the file of places."""
    lines = (line for line in PLACES.read_text().splitlines() if line and not line.startswith("#"))
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


class Globus:
    """The stand-in, and folders of one test on its collections.

    Attributes:
        name: of the folder on each collection.
        environment: variables that have the SDK call the stand-in.
    """

    def __init__(self):
        places = globus_places()
        self.site, self.archive, self.laptop = (places[name] for name in ("site", "archive", "laptop"))
        self.url = f"http://127.0.0.1:{places['port']}/"
        self.name = f"test-{uuid.uuid4().hex[:12]}"
        self.client_id = str(uuid.uuid4())
        self.environment = {
            "GLOBUS_SDK_SERVICE_URL_AUTH": self.url,
            "GLOBUS_SDK_SERVICE_URL_TRANSFER": self.url,
            "GLOBUS_CLIENT_ID": self.client_id,
        }

    def folder(self, collection):
        """Folder of this test on a collection, such as ``archive``, on this machine."""
        found = STATE / collection / self.name
        found.mkdir(exist_ok=True)
        return found

    def file_url(self, collection, name):
        return f"globus://{getattr(self, collection)}/{self.name}/{name}"

    def control(self, what, **options):
        urllib.request.urlopen(f"{self.url}_control/{what}", json.dumps(options).encode()).read()

    def transfers(self):
        """Documents of the transfers of this test's application."""
        with urllib.request.urlopen(f"{self.url}_control/transfers?{self.client_id}") as reply:
            return json.load(reply)

    def log_in(self, *arguments, command=("-m", "cnflow.cli", "globus", "auth"), **environment):
        """Run ``cnflow globus auth``, and do what it asks for; return its output and the number of logins."""
        variables = {**os.environ, **self.environment, "PYTHONUNBUFFERED": "1", **environment}
        lines, logins = [], 0
        with subprocess.Popen(
            [sys.executable, *command, *arguments],
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            for line in process.stdout:
                lines.append(line)
                if line.strip().startswith(f"{self.url}v2/oauth2/authorize"):
                    logins += 1
                    process.stdin.write(_consent(line.strip()) + "\n")
                    process.stdin.flush()
        return process.returncode, "".join(lines), logins


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_, **__):
        return None


def _consent(url):
    """Open the page, agree, and return the code that it shows."""
    try:
        urllib.request.build_opener(_NoRedirect).open(url)
    except urllib.error.HTTPError as answer:
        return json.load(answer)["code"]
    raise AssertionError("no code")
