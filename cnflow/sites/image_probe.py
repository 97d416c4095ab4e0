"""Probes the Python of an image at the login node, and keeps what was found beside the image, for all runs and users.

::

    SiteImage ──runtime.wrap──> container on the login node: python3 PROBE ──> Probe, Survey ──> NAME.facts at the site

Where the login node starts no containers the job's own start finds the interpreter out; nothing is lost but its name in
the record of the run.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.capsule import PROBE_OPTIONS, parse_probe
from cnflow.capsule.survey import SURVEY_SCRIPT, Survey, parse_survey
from cnflow.errors import ImageUnusableError
from cnflow.model.image_identity import ImageFacts, ImageIdentity
from cnflow.model.node_command import NodeCommand
from cnflow.model.packages import digest_of_packages
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.capsule import Probe
    from cnflow.config.runtimes import RuntimeSettings
    from cnflow.interfaces.channel import Channel
    from cnflow.model.site_image import SiteImage

_PYTHONS = ("python3", "python")
_OPTIONS = (*PROBE_OPTIONS[:-1], PROBE_OPTIONS[-1] + SURVEY_SCRIPT)
_PATIENCE = Seconds(300.0)
_SHOWN = 600

# Words of Apptainer 1.4 and of the kernel.
_DAMAGED = re.compile(
    r"squashfs|superblock|image format not recognized|corrupt|bad magic|input/output error", re.IGNORECASE
)
_FOREIGN = re.compile(r"architecture|exec format error", re.IGNORECASE)
_NO_PYTHON = re.compile(
    r"python3?\"?:? .*(not found|no such file)|not found in \$?PATH|no such file.*python", re.IGNORECASE
)


class KnownImage(NamedTuple):
    """What is known of an image apart from its Python."""

    id: str
    digest: str = ""
    platform: str = ""


class Probed(NamedTuple):
    """What is known of an image at a site."""

    known: KnownImage
    probe: Probe | None = None
    """None where the login node starts no containers of it, or it has no Python."""

    survey: Survey = Survey()

    @property
    def identity(self) -> ImageIdentity:
        """Identity for records and memo keys."""
        python = self.probe.version if self.probe is not None else ""
        packages = digest_of_packages(self.survey.packages) if self.probe is not None else ""
        return ImageIdentity(self.known.id, ImageFacts(self.known.digest, self.known.platform, python, packages))

    def to_json(self, reference: str) -> str:
        """Return one line, as `parse_facts` reads it."""
        return json.dumps(
            {
                "reference": reference,
                **self.known._asdict(),
                "probe": None if self.probe is None else self.probe.to_json(),
                "survey": self.survey.to_json(),
            }
        )


def parse_facts(facts: Mapping[str, Any], known: KnownImage) -> Probed | None:
    """What the site keeps of an image; None if it was not probed there. What is *known* now wins."""
    if "probe" not in facts:
        return None
    merged = KnownImage(*(getattr(known, name) or str(facts.get(name, "")) for name in KnownImage._fields))
    return Probed(
        merged,
        parse_probe(str(facts["probe"])) if facts["probe"] else None,
        parse_survey(str(facts.get("survey", ""))) or Survey(),
    )


class NotProbedError(Exception):
    """The login node starts no container of the image; the words of its runtime."""


def probe_image(channel: Channel, runtime: RuntimeSettings, image: SiteImage) -> tuple[Probe | None, Survey]:
    """Probe *image* where the channel ends.

    Returns:
        The probe, which is None for an image without Python, and other content.

    Raises:
        ImageUnusableError: it is damaged, or of another architecture.
        NotProbedError: containers do not start there.
    """
    words = ""
    for python in _PYTHONS:
        command = runtime.wrap(NodeCommand((python, *_OPTIONS)), image)
        variables = [f"{name}={value}" for name, value in command.environment.items()]
        done = channel.run(["env", *variables, *command.argv], timeout=_PATIENCE)
        probe = parse_probe(done.stdout)
        if probe is not None:
            return probe, parse_survey(done.stdout) or Survey()
        words = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.exit_code}")[-_SHOWN:]
        if _FOREIGN.search(words):
            raise ImageUnusableError(
                f"Image {image.reference!r} is for another architecture than {channel.name}: {words}\nBuild it for "
                "that one."
            )
        if _DAMAGED.search(words):
            raise ImageUnusableError(
                f"Image {image.reference!r} is damaged ({image.path} on {channel.name}): {words}\nWrite it again."
            )
        if not _NO_PYTHON.search(words):
            raise NotProbedError(words)
    return None, Survey()
