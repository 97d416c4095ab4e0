"""The image courier: what the user names becomes an image at the site, once per digest.

::

    Image("app:1") ──parse_source──> an engine here has it ──────────> id ──┐
                                     its registry is asked ──────────> id ──┼─> the site has ID.sif? ── yes ──┐
                                     a file: header, list of members ─> id ──┘      │ no                        │
                                                        ways, one after the other (`cnflow.sites.image_ways`):   │
                                                          the site pulls it by its digest                        │
                                                          an engine here saves it, which pulls it first; sent    │
                                                                                    │                            │
    FetchedImage(SiteImage, identity, probe) <── probed once (`image_probe`) <──────┴────────────────────────────┘

Many blocks, runs and users may want the same image: see `cnflow.sites.image_scripts` for how one of them brings it.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, NamedTuple

from cnflow.errors import BlockRejectedError, ChannelError, ConfigurationError, ImageUnusableError
from cnflow.sites.image_arrival import Arrival
from cnflow.sites.image_files import MACHINES
from cnflow.sites.image_makers import BUILDERS
from cnflow.sites.image_probe import NotProbedError, Probed, parse_facts, probe_image
from cnflow.sites.image_ways import Place
from cnflow.sites.own_engine import OwnEngines
from cnflow.sites.scripts import expression_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.capsule import Probe
    from cnflow.capsule.survey import Survey
    from cnflow.config.runtimes import RuntimeSettings
    from cnflow.model.image import Image
    from cnflow.model.image_identity import ImageIdentity
    from cnflow.model.site_image import SiteImage
    from cnflow.sites.image_arrival import Arrived
    from cnflow.sites.site import Site

    Progress = Callable[[str], None]

logger = logging.getLogger(__name__)

_PROGRAMS = tuple(dict.fromkeys((*(name for names in BUILDERS.values() for name in names), "shifter", "ch-run")))
_FOLDER = "images"


class FetchedImage(NamedTuple):
    """An image that a site has."""

    image: SiteImage
    runtime: RuntimeSettings
    """Of the site, with the options of the user's image."""

    identity: ImageIdentity
    """What `Provider.prepare` returns."""

    probe: Probe | None
    """None where the login node starts no containers, or the image has no Python: the job chooses its capsule."""

    survey: Survey
    is_new: bool = False
    """It was not there before."""


class SiteImages:
    """Brings images to one site. Safe from any thread.

    Args:
        site: where they are wanted.
        runtime: of the settings, which may be the automatic one.
        cache: ``image_cache_dir`` of the settings; None is ``images`` in the site's folder.
        engines: of the driver's machine.
    """

    def __init__(
        self, site: Site, runtime: RuntimeSettings, cache: str | None = None, engines: OwnEngines | None = None
    ) -> None:
        self._site = site
        self._channel = site.channel
        self._settings = runtime
        self._cache = cache
        self._engines = engines or OwnEngines()
        self._mutex = threading.Lock()
        self._fetched: dict[str, FetchedImage] = {}
        self._references: dict[str, Image] = {}

    @property
    def programs(self) -> tuple[str, ...]:
        """Programs that `fetch` looks for: who asks the site for others, too, asks once for all."""
        return _PROGRAMS

    def fetch(self, image: Image, progress: Progress | None = None) -> FetchedImage:
        """Have *image* at the site, and its Python probed.

        Args:
            image: as the user wrote it, or by its content.
            progress: is called with lines for the user; None logs them.

        Raises:
            ImageNotFoundError: it is neither on the driver's machine nor at the site nor in a registry.
            ImageUnusableError: it is damaged, for another architecture, or there is no room for it.
            BlockRejectedError: the runtime cannot run it.
            ChannelError: the site cannot be reached.
        """
        with self._mutex:
            known = self._fetched.get(image.key)
            if known is None or image.pull == "always":
                known = self._fetch(image, progress or _logs(image.name))
                self._fetched[image.key] = known
                self._references.setdefault(str(known.identity), image)
            return known

    def _fetch(self, image: Image, progress: Progress) -> FetchedImage:
        facts = self._site.facts(_PROGRAMS)
        try:
            runtime = self._settings.at(facts.found).for_image(image)
        except ConfigurationError as error:
            raise BlockRejectedError(str(error)) from error
        cache = expression_of(self._cache or f"{facts.folder}/{_FOLDER}")
        architecture = MACHINES.get(facts.machine, facts.machine)
        place = Place.of(self._channel, cache, runtime, facts.found, architecture)
        arrived = Arrival(place, self._engines, image, progress).arrive(self._references)
        probed = parse_facts(arrived.facts, arrived.known) or self._probe(runtime, arrived, progress)
        return FetchedImage(arrived.image, runtime, probed.identity, probed.probe, probed.survey, arrived.is_new)

    def _probe(self, runtime: RuntimeSettings, arrived: Arrived, progress: Progress) -> Probed:
        try:
            probe, survey = probe_image(self._channel, runtime, arrived.image)
        except NotProbedError as error:
            progress(f"{self._channel.name} starts no container of it, so that each job looks for its Python: {error}")
            return Probed(arrived.known)
        except ImageUnusableError:
            if arrived.is_kept:  # so that it is brought again when it is whole
                self._channel.run(["rm", "-rf", "--", arrived.image.path])
            raise
        probed = Probed(arrived.known, probe, survey)
        content = f"{probed.to_json(arrived.image.reference)}\n".encode()
        try:
            self._channel.put(content, arrived.facts_path, 0o644)
        except ChannelError as error:  # e.g. no space is left; it is probed again next time
            logger.warning("what was found out about image %s is not kept: %s", arrived.image.reference, error)
        return probed


def _logs(name: str) -> Progress:
    return lambda words: logger.info("image %s: %s", name, words)
