"""The stand-in of Compute Engine that tests/services/gce/up starts: the part of one test, told apart by its project."""

import json
import time
import urllib.request
import uuid
from functools import cache
from pathlib import Path

PLACES = Path(__file__).with_name("gce") / "places"


@cache
def gce_address():
    """Host and port of the stand-in, which its machines reach as well."""
    lines = (line for line in PLACES.read_text().splitlines() if line and not line.startswith("#"))
    places = {name: value for name, _, value in (line.partition("=") for line in lines)}
    return places["subnet"].rsplit(".", 1)[0] + ".1", int(places["port"])


@cache
def private_key():
    """The key of a service account, in PEM."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return made.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def write_key_file(path, project):
    """Write a file with the credentials of a service account, as Google's console gives it."""
    account = {"type": "service_account", "project_id": project, "private_key_id": "1", "private_key": private_key()}
    account |= {"client_email": f"me@{project}.iam.gserviceaccount.com", "client_id": "1"}
    path.write_text(json.dumps(account | {"token_uri": "http://127.0.0.1:9/token"}))
    return path


class Gce:
    """The stand-in for one test.

    Attributes:
        project: of the test.
        url: address of the API.
        environment: variables by which the SDK finds its credentials.
    """

    def __init__(self, folder):
        self.project = f"p{uuid.uuid4().hex[:10]}"
        host, port = gce_address()
        self.url = f"http://{host}:{port}"
        key_file = write_key_file(folder / "key.json", self.project)
        self.environment = {"GOOGLE_APPLICATION_CREDENTIALS": str(key_file), "LOGNAME": self.project}

    def control(self, verb, **options):
        """Do *verb* of the server's control interface, for this test's project."""
        asked = json.dumps({"project": self.project, **options}).encode()
        with urllib.request.urlopen(f"{self.url}/_control/{verb}", asked, timeout=60) as answer:
            return json.load(answer)

    def fault(self, action="*", **fault):
        """Have calls fail; see tests/services/gce/server.py."""
        self.control("fault", action=action, **fault)

    def limit(self, n=0, **limit):
        """Let there be *n* machines of ``zone``, ``type`` and ``spot``."""
        self.control("limit", n=n, **limit)

    def calls(self, action):
        """Number of calls of *action* that were made."""
        return self.control("calls").count(action)

    def machines(self, *statuses):
        """Machines of this test, in one of *statuses*; none is all."""
        return [one for one in self.control("machines") if not statuses or one["status"] in statuses]

    def until(self, condition, seconds=60):
        """Wait until ``condition()`` is true, and return it."""
        end = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < end, f"not within {seconds} s; machines: {self.machines()}"
            time.sleep(0.1)
        return found

    def until_running(self, count=1, seconds=60):
        """Wait until *count* machines run."""
        return self.until(lambda: len(found := self.machines("RUNNING")) >= count and found, seconds)

    def remove(self):
        """End all machines of this test."""
        self.control("clear")
        self.control("remove")
