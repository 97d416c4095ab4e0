"""Ways in which an image comes to a site: each is a script there, and what the driver supplies to it.

::

    registry ──> the site pulls ─ unreachable, unauthorised ─> the driver's engine pulls, saves and sends
    engine ────> the site pulls it by its digest, if a registry has it and is reached ─────> saved, sent, built there
    archive ───> sent, built there                SIF ──> sent
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import shlex
import shutil
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, cast

from cnflow.errors import BlockRejectedError, ConfigurationError, ImageUnusableError
from cnflow.model.site_image import ImageForm
from cnflow.sites import image_makers
from cnflow.sites.image_files import read_image_file
from cnflow.sites.image_makers import NO_BUILDER, Builder, find_builder
from cnflow.sites.image_scripts import CHECK_SIF, Wanted
from cnflow.sites.image_sources import SourceKind, file_name
from cnflow.sites.image_transfer import Upload
from cnflow.sites.registry_lookup import get_here, get_there, look_up, reaches
from cnflow.sites.root_tar import write_root_tar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from cnflow.config.runtimes import RuntimeSettings
    from cnflow.interfaces.channel import Channel
    from cnflow.model.image import Image
    from cnflow.sites.image_files import ImageFile
    from cnflow.sites.image_sources import ImageSource
    from cnflow.sites.own_engine import EngineImage, OwnEngines
    from cnflow.sites.registry_lookup import RegistryImage

_SUFFIX = {ImageForm.SIF: ".sif", ImageForm.ARCHIVE: ".tar"}


class Way(NamedTuple):
    """One way."""

    wanted: Wanted
    form: ImageForm
    """That the image has at the site then."""

    supply: Callable[[], AbstractContextManager[Upload]] | None = None
    login: tuple[str, str] | None = None


class Place(NamedTuple):
    """Where an image is wanted."""

    channel: Channel
    cache: str
    """Word of sh that expands to the folder of images."""

    form: ImageForm
    """That images are made in."""

    forms: tuple[ImageForm, ...]
    """That the runtime takes."""

    builder: Builder
    architecture: str
    """Of its machines, as images name it."""

    @classmethod
    def of(cls, channel: Channel, cache: str, runtime: RuntimeSettings, found: Sequence[str], machine: str) -> Place:
        """Where *runtime* is, on a login node with the programs *found*.

        A SIF is made by a program of the login node. Where it has none, the image is a folder, which needs only tar.
        """
        for form in runtime.forms:
            builder = find_builder(form, found, runtime.program)
            if form in {ImageForm.FOLDER, ImageForm.ARCHIVE} or builder.path:
                return cls(channel, cache, form, runtime.forms, builder, machine)
        return cls(channel, cache, runtime.forms[0], runtime.forms, NO_BUILDER, machine)


def login_of(image: Image) -> tuple[str, str] | None:
    """User and password of the registry; None leaves them to the site's own configuration.

    Raises:
        BlockRejectedError: the source of the password has none.
    """
    if image.credentials is None:
        return None
    try:
        return image.credentials.user, image.credentials.password.read("password")
    except ConfigurationError as error:
        raise BlockRejectedError(f"Image {image.name!r}: credentials: {error}") from error


def registry_entry(place: Place, name: str, login: tuple[str, str] | None) -> RegistryImage | None:
    """What the registry has by *name*, asked by the driver, else by the site; None if neither finds out."""
    for get in (get_here,) if place.channel.is_local else (get_here, get_there(place.channel)):
        if found := look_up(name, place.architecture, login, get):
            return found
    return None


def pulled_there(
    place: Place, source: ImageSource, content: str, login: tuple[str, str] | None, *, is_http: bool = False
) -> list[Way]:
    """The site pulls *source*, whose *content* is empty if it is not known; none if no program there does."""
    make = image_makers.from_registry(place.form, place.builder, source, has_login=login is not None, is_http=is_http)
    if not make or (source.kind is SourceKind.ARTIFACT and place.form is not ImageForm.SIF):
        return []
    return [Way(_wanted(place, content, make, source.url), place.form, login=login)]


def digest_pulled_there(place: Place, source: ImageSource, digest: str, content: str) -> list[Way]:
    """The site pulls an image by its *digest*, unless it cannot reach the registry, or is this machine."""
    if not digest or place.channel.is_local or not reaches(place.channel, digest):
        return []
    return pulled_there(place, source._replace(name=digest, kind=SourceKind.REGISTRY), content, None)


def sent_by_engine(place: Place, engines: OwnEngines, image: EngineImage) -> list[Way]:
    """The driver's engine saves *image*."""

    @contextlib.contextmanager
    def supply() -> Iterator[Upload]:
        with tempfile.TemporaryDirectory(prefix="cnflow-image-") as folder:
            saved = Path(folder) / "image.tar"
            with saved.open("wb") as file:
                engines.save(image, file)
            read_image_file(saved, ImageForm.ARCHIVE)
            now = engines.find(image.name)
            if now is not None and now.id != image.id:
                raise ImageUnusableError(
                    f"Image {image.name!r} was {image.id} and is {now.id} now: it was built again in the midst of it. "
                    "Run the script again."
                )
            yield _for_sending(place, saved, Path(folder))

    return [Way(_wanted(place, image.id, _from_archive(place, image.name), ""), place.form, supply)]


def sent_archive(place: Place, file: ImageFile, name: str) -> list[Way]:
    """An archive of this machine."""

    @contextlib.contextmanager
    def supply() -> Iterator[Upload]:
        with tempfile.TemporaryDirectory(prefix="cnflow-image-") as folder:
            yield _for_sending(place, file.path, Path(folder))

    return [Way(_wanted(place, file.digest, _from_archive(place, name), ""), place.form, supply)]


def sent_sif(place: Place, file: ImageFile) -> list[Way]:
    """A SIF of this machine."""

    @contextlib.contextmanager
    def supply() -> Iterator[Upload]:
        yield Upload(file.path, ".sif")

    wanted = _wanted(place._replace(form=ImageForm.SIF), file.digest, image_makers.FROM_FILE, "")
    return [Way(wanted, ImageForm.SIF, supply)]


def made_of_archive_there(place: Place, path: str, digest: str) -> list[Way]:
    """An archive that the site has."""
    if place.form is ImageForm.FOLDER:
        return []
    own = f"receive() {{ upload={shlex.quote(path)}; }}\n"
    return [Way(_wanted(place, digest, own + _from_archive(place, path), ""), place.form)]


def kept(place: Place, content: str) -> list[Way]:
    """What the cache of the site has by *content*, in any form that the runtime takes; nothing is made."""
    forms = [form for form in dict.fromkeys((place.form, *place.forms)) if form is not ImageForm.NONE]
    return [Way(_wanted(place._replace(form=form), content, "fail absent\n", ""), form) for form in forms]


def _from_archive(place: Place, reference: str) -> str:
    if place.form not in {ImageForm.FOLDER, ImageForm.ARCHIVE} and not place.builder.path:
        raise BlockRejectedError(
            f"Image {reference!r} cannot be made on {place.channel.name}: it has none of "
            f"{', '.join(image_makers.BUILDERS[place.form])} in its PATH. Set the program in runtime=."
        )
    if place.form is ImageForm.REFERENCE and place.builder.name == "shifterimg":
        raise BlockRejectedError(
            f"Image {reference!r} cannot be sent to {place.channel.name}: Shifter takes images from registries alone. "
            "Push it to one that the site reaches, and name it so: docker://HOST/NAME:TAG."
        )
    return image_makers.from_archive(place.form, place.builder, reference)


def _wanted(place: Place, content: str, make: str, url: str) -> Wanted:
    check = CHECK_SIF if place.form is ImageForm.SIF else ""
    if content:
        return Wanted(place.cache, file_name(content, place.form), make, check=check)
    pointer = f"name-{hashlib.sha256(f'{url} {place.form.value}'.encode()).hexdigest()[:32]}"
    return Wanted(place.cache, "", make, pointer, _SUFFIX.get(place.form, ""), check)


def _for_sending(place: Place, archive: Path, folder: Path) -> Upload:
    """What the site gets for *archive*: compressed over a network, a root file system where it makes a folder."""
    packed = not place.channel.is_local
    if place.form is ImageForm.FOLDER:
        target = folder / f"root.tar{'.gz' if packed else ''}"
        with _opened(target, packed=packed) as file:
            write_root_tar(archive, file)
        return Upload(target, ".tar.gz" if packed else ".tar")
    if not packed or archive.suffix in {".gz", ".tgz"}:
        return Upload(archive, ".tar.gz" if archive.suffix in {".gz", ".tgz"} else ".tar")
    target = folder / "image.tar.gz"
    with archive.open("rb") as source, _opened(target, packed=True) as file:
        shutil.copyfileobj(source, file, 1 << 20)
    return Upload(target, ".tar.gz")


@contextlib.contextmanager
def _opened(path: Path, *, packed: bool) -> Iterator[IO[bytes]]:
    with path.open("wb") as file, contextlib.ExitStack() as stack:
        yield cast("IO[bytes]", stack.enter_context(gzip.GzipFile("", "wb", 1, file))) if packed else file
