"""The stand-in of EC2 that tests/services/ec2/up starts: the part of one test, told apart by its access key."""

import json
import time
import urllib.request
import uuid
from pathlib import Path

PLACES = Path(__file__).with_name("ec2") / "places"
REGION = "us-east-1"
IMAGE = "ami-0cf10000000000002"


def ec2_places():
    """Names and values of the file of places."""
    lines = (line for line in PLACES.read_text().splitlines() if line and not line.startswith("#"))
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


class EC2:
    """The stand-in for one test.

    Attributes:
        environment: variables by which the SDK calls it.
    """

    def __init__(self, url=""):
        self.key = f"TEST{uuid.uuid4().hex[:16].upper()}"
        self.url = url or f"http://127.0.0.1:{ec2_places()['port']}"
        self.environment = {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
            "LOGNAME": self.key.lower(),  # networks belong to an owner
        }

    def control(self, verb, **options):
        """Do *verb* of the server's control interface, for this test's calls."""
        asked = json.dumps({"key": self.key, **options}).encode()
        with urllib.request.urlopen(f"{self.url}/_control/{verb}", asked, timeout=30) as answer:
            return json.load(answer)

    def fault(self, action="*", **fault):
        """Have calls fail; see `tests.services.ec2.faults`."""
        self.control("fault", action=action, **fault)

    def limit(self, n=0, **limit):
        """Let there be *n* machines."""
        self.control("limit", n=n, **limit)

    def clear(self):
        """End all faults and limits."""
        self.control("clear")

    def calls(self, action):
        """Number of calls of *action* that were made."""
        return self.control("calls").count(action)

    def machines(self, *states):
        """Machines of this test, in one of *states*; none is all."""
        return [one for one in self.control("machines") if not states or one["state"] in states]

    def until(self, condition, seconds=30):
        """Wait until ``condition()`` is true, and return it."""
        end = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < end, f"not within {seconds} s; machines: {self.machines()}"
            time.sleep(0.1)
        return found

    def until_state(self, state, count=1, seconds=30):
        """Wait until *count* machines are in *state*."""
        return self.until(lambda: (found := self.machines(state)) and len(found) >= count and found, seconds)

    def remove(self):
        """End all machines of this test."""
        import boto3

        self.clear()
        living = [one["id"] for one in self.machines("pending", "running", "stopped")]
        if living:
            client = boto3.client(
                "ec2", REGION, endpoint_url=self.url, aws_access_key_id=self.key, aws_secret_access_key="x"
            )
            client.terminate_instances(InstanceIds=living)
            client.close()
            self.until(lambda: not self.machines("pending", "running", "shutting-down"), 60)
