"""Machines of a soak in the stand-in of EC2: their blocks see the soak's folder, as no real ones would."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from cnflow.config import EC2Provider
from tests.services.ec2_cloud import EC2, REGION

BLOCKS = 3
LIVING = ("pending", "running", "shutting-down")


class Machines:
    """Machines that the soak's driver has in the cloud.

    Attributes:
        ec2: the stand-in, for the calls of this soak.
    """

    def __init__(self, ec2: EC2) -> None:
        self.ec2 = ec2

    def provider(self, shared: Path) -> EC2Provider:
        """Provider of small machines, of which the first zone has few, and which see *shared* as ``/shared``."""
        self.ec2.control("kind", options=["--volume", f"{shared}:/shared"])
        return EC2Provider(
            instance_types=["c5.large", "m5.large"],
            spot=True,
            init_blocks=BLOCKS,
            max_blocks=BLOCKS,
            startup_timeout=60,
            detached_timeout=60,
        )

    def running(self) -> list[dict]:
        """Machines of blocks that run."""
        return [one for one in self.ec2.machines("running") if one["tags"].get("cnflow-role") == "block"]

    def interchanges(self) -> list[dict]:
        """Machines of interchanges that run."""
        return [one for one in self.ec2.machines("running") if one["tags"].get("cnflow-role") == "interchange"]

    def terminate(self, machine: dict) -> None:
        """Terminate a machine as a person does in the console, whom faults of the driver's calls do not meet."""
        import boto3

        client = boto3.client("ec2", REGION, aws_access_key_id="PERSON", aws_secret_access_key="secret")
        client.terminate_instances(InstanceIds=[machine["id"]])
        client.close()

    def cut_power(self, machine: dict) -> None:
        """Let a machine stop without a word."""
        subprocess.run(["docker", "kill", machine["container"]], capture_output=True, check=False)

    def left(self) -> set[str]:
        """Ids of the machines that have not ended."""
        return {one["id"] for one in self.ec2.machines(*LIVING)}


@contextlib.contextmanager
def machines_of_a_cloud() -> Iterator[Machines]:
    """Have a part of the stand-in that tests/services/ec2/up starts."""
    ec2 = EC2()
    os.environ.update(ec2.environment)
    try:
        yield Machines(ec2)
    finally:
        ec2.remove()
