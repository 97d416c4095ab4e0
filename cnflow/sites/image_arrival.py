"""Has one image arrive at a site: finds out what its name means, and takes the first way that leads there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.errors import BlockRejectedError, ImageNotFoundError
from cnflow.images.references import registry_digest
from cnflow.model.site_image import ImageForm, SiteImage
from cnflow.sites import image_failures as failures
from cnflow.sites import image_ways as ways
from cnflow.sites.image_files import read_image_file
from cnflow.sites.image_probe import KnownImage
from cnflow.sites.image_scripts import look_script, parse_look
from cnflow.sites.image_sources import SourceKind, parse_source
from cnflow.sites.image_transfer import BringError, ImageTransfer, parse_facts_line
from cnflow.sites.own_builds import id_of_built
from cnflow.sites.registry_lookup import parse_name, reaches
from cnflow.sites.scripts import expression_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cnflow.errors import BlockError
    from cnflow.model.image import Image
    from cnflow.sites.image_ways import Place, Way
    from cnflow.sites.own_engine import EngineImage, OwnEngines

_OF_ONE_NODE = ("/tmp/", "/var/tmp/", "/dev/shm/", "/run/")  # noqa: S108 - nothing is written there
"""Folders that nodes do not share with the login node, on which a user may name a file."""


class Arrived(NamedTuple):
    """An image that is at the site, and may not be probed yet."""

    known: KnownImage
    image: SiteImage
    facts: Mapping[str, Any]
    """As they were written by who probed it; empty if nobody has."""

    facts_path: str
    is_new: bool = False
    """It was not there before."""

    is_kept: bool = False
    """It is in the cache of the site."""


class Arrival:
    """Has one image arrive.

    Args:
        place: where it is wanted.
        engines: of the driver's machine.
        image: as the user wrote it, or by its content.
        progress: is called with lines for the user.
    """

    def __init__(self, place: Place, engines: OwnEngines, image: Image, progress: Callable[[str], None]) -> None:
        self._place = place
        self._engines = engines
        self._image = image
        self._progress = progress
        self._source = parse_source(image.reference)

    def arrive(self, earlier: Mapping[str, Image]) -> Arrived:
        """Have it at the site.

        Args:
            earlier: images that came there in this run, by their identities.

        Raises:
            BlockError: it cannot come there; the message has the user's next step.
        """
        kind, name = self._source.kind, self._source.name
        if kind is SourceKind.FILE:
            return self._file()
        if kind is SourceKind.CONTENT:
            return self._content(earlier)
        if kind is SourceKind.ARTIFACT:
            return self._artifact()
        if self._image.recipe is not None:
            name = id_of_built(self._image)
        is_asked_here = kind is SourceKind.ENGINE or (kind is SourceKind.NAME and self._image.pull != "always")
        found = self._engines.find(name) if is_asked_here else None
        if found is not None:
            return self._engine_image(found)
        if kind is SourceKind.ENGINE or self._image.pull == "never":
            raise failures.nowhere(self._image.name, "No engine of this machine has it, and it is not to be pulled.")
        return self._registry()

    def _engine_image(self, found: EngineImage) -> Arrived:
        self._refuse_foreign(found.architecture)
        digest = registry_digest(self._source.name, found.digests)
        parts = (found.operating_system, found.architecture, found.variant)
        known = KnownImage(found.id, digest, "/".join(filter(None, parts)))
        chosen = ways.digest_pulled_there(self._place, self._source, digest, found.id)
        return self._through(known, [*chosen, *ways.sent_by_engine(self._place, self._engines, found)])

    def _artifact(self) -> Arrived:
        is_http = self._source.scheme == "oras" and parse_name(self._source.name).may_be_http
        chosen = ways.pulled_there(self._place, self._source, "", ways.login_of(self._image), is_http=is_http)
        if not chosen:
            raise BlockRejectedError(
                f"Image {self._image.name!r} is for Apptainer, which is not in the PATH of {self._place.channel.name}."
            )
        return self._through(KnownImage(""), chosen)

    def _registry(self) -> Arrived:
        login = ways.login_of(self._image)
        entry = ways.registry_entry(self._place, self._source.name, login)
        known = KnownImage("", "", f"linux/{self._place.architecture}")
        if entry is None:
            chosen = ways.pulled_there(self._place, self._source, "", login)
        else:
            known = known._replace(id=entry.id, digest=entry.reference)
            named = self._source._replace(name=entry.reference)
            is_far = not self._place.channel.is_local
            chosen = ways.pulled_there(self._place, named, entry.id, login, is_http=entry.is_http)
            if is_far and not reaches(self._place.channel, entry.reference):  # programs wait for minutes
                chosen = []
        refusal: BlockError = failures.nowhere(
            self._image.name, f"{self._place.channel.name} has no program that pulls it."
        )
        try:
            if chosen:
                return self._try(known, chosen)
        except BringError as error:
            refusal = self._error(error)
            if not failures.is_for_the_driver(error, self._image.name):
                raise refusal from error
        self._progress(f"{self._place.channel.name} does not pull it: this machine does, and sends it")
        try:
            return self._engine_image(self._engines.pull(known.digest or self._source.name))
        except ImageNotFoundError as error:
            raise ImageNotFoundError(f"{refusal}\n{error}") from error

    def _file(self) -> Arrived:
        place, name = self._place, self._image.name
        here = Path(self._source.name).expanduser()
        if not here.is_file():
            return self._site_file(self._source.name)
        file = read_image_file(here, self._source.form)
        self._refuse_foreign(file.architecture)
        known = KnownImage(file.digest, "", f"linux/{file.architecture}" if file.architecture else "")
        if file.form is not ImageForm.SIF:
            return self._through(known, ways.sent_archive(place, file, name))
        if ImageForm.SIF not in place.forms:
            raise BlockRejectedError(
                f"Image {name!r} is a SIF, which Apptainer alone runs. Name the Docker image that it was made of."
            )
        if place.channel.is_local and not str(here.resolve()).startswith(_OF_ONE_NODE):
            return self._site_file(str(here.resolve()))
        return self._through(known, ways.sent_sif(place, file))

    def _site_file(self, path: str) -> Arrived:
        place, name = self._place, self._image.name
        found = parse_look(place.channel.run(["sh", "-c", look_script(place.cache, expression_of(path))]).stdout)
        if found is None or not found.path:
            what = "cannot be read" if found is not None and found.kind == "unreadable" else "is not there, either"
            there = "" if place.channel.is_local else f"; on {place.channel.name} it {what}"
            raise failures.nowhere(name, f"There is no file {path!r} that can be read on this machine{there}.")
        form = {"sif": ImageForm.SIF, "folder": ImageForm.FOLDER}.get(found.kind, ImageForm.ARCHIVE)
        known = KnownImage(found.digest)
        if form is ImageForm.ARCHIVE and form not in place.forms:
            chosen = ways.made_of_archive_there(place, found.path, found.digest)
            if chosen:
                return self._through(known, chosen)
        if form not in place.forms:
            raise BlockRejectedError(
                f"Image {name!r} is in the form {form.value!r}, of which {place.channel.name} makes none of: "
                f"{', '.join(each.value for each in place.forms)}."
            )
        image = SiteImage(name, form, found.path, found.digest)
        facts_path = f"{found.cache}/{found.digest.rpartition(':')[2]}.facts"
        return Arrived(known, image, parse_facts_line(found.facts), facts_path)

    def _content(self, earlier: Mapping[str, Image]) -> Arrived:
        content = self._source.name
        for way in ways.kept(self._place, content):
            try:
                return self._try(KnownImage(content), [way])
            except BringError as error:
                if error.why != "absent":
                    raise self._error(error) from error
        before = earlier.get(content)
        if before is not None:
            return Arrival(self._place, self._engines, before, self._progress).arrive({})
        found = self._engines.find(content)
        if found is None:
            where = self._place.channel.name
            raise failures.nowhere(self._image.name, f"Neither {where} nor an engine of this machine has {content}.")
        return self._engine_image(found)

    def _through(self, known: KnownImage, chosen: Sequence[Way]) -> Arrived:
        try:
            return self._try(known, chosen)
        except BringError as error:
            raise self._error(error) from error

    def _try(self, known: KnownImage, chosen: Sequence[Way]) -> Arrived:
        """Take the first of the ways that leads there."""
        for way in chosen[:-1]:
            try:
                return self._take(known, way)
            except BringError as error:
                if not failures.is_for_the_driver(error, self._image.name):
                    raise
                self._progress(f"{self._place.channel.name} does not pull it: it is sent")
        return self._take(known, chosen[-1])

    def _take(self, known: KnownImage, way: Way) -> Arrived:
        wanted = way.wanted
        if wanted.pointer and self._image.pull == "always":
            wanted = wanted.anew()
        transfer = ImageTransfer(self._place.channel, self._progress, way.supply, way.login)
        brought = transfer.run(wanted)
        content = known.id or f"sha256:{brought.name.partition('.')[0]}"
        is_reference = way.form is ImageForm.REFERENCE
        reference = (
            self._source.name if is_reference and self._source.kind is not SourceKind.CONTENT else self._image.name
        )
        image = SiteImage(reference, way.form, "" if is_reference else brought.path, content)
        return Arrived(
            known._replace(id=content),
            image,
            brought.facts,
            f"{brought.path}.facts",
            brought.is_new,
            is_kept=not is_reference,
        )

    def _error(self, error: BringError) -> BlockError:
        return failures.error_of(error, self._image.name, self._place.channel.name, self._place.cache)

    def _refuse_foreign(self, architecture: str) -> None:
        wanted = self._place.architecture
        if architecture and architecture != wanted:
            raise failures.foreign(self._image.name, architecture, self._place.channel.name, wanted)
