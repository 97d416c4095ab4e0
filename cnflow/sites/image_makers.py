"""POSIX sh that makes an image in the form of a runtime, from a registry or from the driver's bytes; pure.

::

                       SIF                      FOLDER            ARCHIVE            REFERENCE
    registry           apptainer build          ch-image, convert podman pull, save  shifterimg pull, podman-hpc pull
    Docker archive     apptainer build          tar of the driver as it is           podman-hpc load
    SIF                as it is                 -                 -                  -

Each is run by the script of `cnflow.sites.image_scripts`, which sets ``$work`` and wants ``$part``.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, NamedTuple

from cnflow.model.site_image import ImageForm
from cnflow.sites.image_sources import SourceKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.sites.image_sources import ImageSource

BUILDERS: dict[ImageForm, tuple[str, ...]] = {
    ImageForm.SIF: ("apptainer", "singularity"),
    ImageForm.FOLDER: ("ch-image", "ch-convert"),
    ImageForm.ARCHIVE: ("podman", "docker"),
    ImageForm.REFERENCE: ("shifterimg", "podman-hpc"),
}
"""Programs of a login node that make an image in that form, the preferred first."""


class Builder(NamedTuple):
    """A program of the login node that makes images; an empty path is none."""

    name: str = ""
    path: str = ""


NO_BUILDER = Builder()


def find_builder(form: ImageForm, found: Sequence[str], preferred: str = "") -> Builder:
    """The program in *found*, paths of programs of the login node, that makes images in *form*."""
    by_name = {path.rpartition("/")[2]: path for path in found}
    if form is ImageForm.FOLDER and "ch-convert" not in by_name:
        return NO_BUILDER
    names = [preferred.rpartition("/")[2], *BUILDERS.get(form, ())]
    return next((Builder(name, by_name[name]) for name in names if name in by_name), NO_BUILDER)


# Variables: https://apptainer.org/docs/user/1.4/appendix.html. Layers and drafts stay out of the home folder, whose
# quota is small; fast local scratch is taken where it has room.
_APPTAINER = """\
scratch=${TMPDIR:-/tmp}
free=$(df -Pk "$scratch" 2>/dev/null | awk 'NR == 2 { print $4 }')
[ "${free:-0}" -ge 4194304 ] || scratch=$work
export APPTAINER_TMPDIR="${APPTAINER_TMPDIR:-$scratch}" APPTAINER_CACHEDIR="$work/layers"
export SINGULARITY_TMPDIR="${SINGULARITY_TMPDIR:-$scratch}" SINGULARITY_CACHEDIR="$work/layers"
set -- build --force
case $("$program" build --help 2>&1) in
  *--mksquashfs-args*) set -- "$@" --mksquashfs-args '-comp gzip -Xcompression-level 1' ;;
esac
"""

_APPTAINER_LOGIN = """\
login
export APPTAINER_DOCKER_USERNAME="$user" APPTAINER_DOCKER_PASSWORD="$password"
export SINGULARITY_DOCKER_USERNAME="$user" SINGULARITY_DOCKER_PASSWORD="$password"
"""

_PODMAN_LOGIN = """\
login
(umask 077; printf '{"auths": {"%s": {"auth": "%s"}}}' "$registry" \\
  "$(printf '%s' "$user:$password" | base64 | tr -d '\\n')" >"$work/auth.json")
set -- "$@" --authfile "$work/auth.json"
"""

FROM_FILE = 'receive\ncp -- "$upload" "$part" || fail write "$part"\n'
"""Takes the driver's file as it is."""

FROM_ROOT_TAR = """\
receive
mkdir -- "$part" || fail write "$part"
tar -xf "$upload" --no-same-owner -C "$part" || fail unpack
chmod u+rwx "$part"; mkdir -p "$part/dev" "$part/proc" "$part/sys" "$part/tmp" "$part/etc"
"""
"""Unpacks the driver's tar of a root file system."""


def from_archive(form: ImageForm, builder: Builder, reference: str) -> str:
    """What makes an image in *form* from the driver's Docker archive.

    A folder is made from the driver's tar of a root file system in its place, which needs no program at the site.
    """
    program = f"program={shlex.quote(builder.path)}\n"
    if form is ImageForm.SIF:
        return f'{program}receive\n{_APPTAINER}watched "$program" "$@" "$part" "docker-archive:$upload" || fail make\n'
    if form is ImageForm.FOLDER:
        return FROM_ROOT_TAR
    if form is ImageForm.REFERENCE:
        load = f'{program}receive\nwatched "$program" load -i "$upload" || fail make\n'
        return f'{load}watched "$program" migrate {shlex.quote(reference)} || fail make\n: >"$part"\n'
    return FROM_FILE


def from_registry(
    form: ImageForm, builder: Builder, source: ImageSource, *, has_login: bool, is_http: bool = False
) -> str:
    """What pulls *source* at the site and makes an image in *form* of it; empty if *builder* cannot.

    Args:
        form: wanted.
        builder: of the login node.
        source: of a registry.
        has_login: user and password are asked of the driver.
        is_http: the registry speaks plain HTTP.
    """
    if not builder.path:
        return ""
    start = f"program={shlex.quote(builder.path)}\n"
    name = shlex.quote(source.name)
    if form is ImageForm.SIF:
        http = "export APPTAINER_NOHTTPS=1 SINGULARITY_NOHTTPS=1\n" if is_http else ""
        login = _APPTAINER_LOGIN if has_login else ""
        # `build` would unpack a SIF, and pack it again.
        verb = "set -- pull --force\n" if source.kind is SourceKind.ARTIFACT else ""
        pull = f'{verb}watched "$program" "$@" "$part" {shlex.quote(source.url)} || fail make\n'
        return f"{start}{login}{_APPTAINER}{http}{pull}"
    if form is ImageForm.ARCHIVE:
        return start + _engine_pull(builder, name, has_login=has_login, is_http=is_http)
    pull = "" if has_login else _other_pull(form, builder, source.name, is_http=is_http)
    return pull and start + pull


def _other_pull(form: ImageForm, builder: Builder, name: str, *, is_http: bool) -> str:
    quoted = shlex.quote(name)
    if form is ImageForm.REFERENCE:
        wanted = shlex.quote(f"docker:{name}") if builder.name == "shifterimg" else quoted
        return f'watched "$program" pull {wanted} || fail make\n: >"$part"\n'
    if is_http:  # ch-image speaks HTTPS alone
        return ""
    # ch-image wants USER, which logins without a terminal may not set.
    return (
        'export USER="${USER:-$(id -un)}" CH_IMAGE_STORAGE="$work/storage"\n'
        f'watched "$program" pull {quoted} || fail make\n'
        f'watched "${{program%/*}}/ch-convert" -i ch-image -o dir {quoted} "$part" || fail make\n'
    )


def _engine_pull(builder: Builder, name: str, *, has_login: bool, is_http: bool) -> str:
    if builder.name == "docker":
        if has_login:
            return "fail login\n"
        pull, saved = f'watched "$program" pull {name} || fail make\n', ""
    else:
        verify = "set -- --tls-verify=false\n" if is_http else "set --\n"
        registry = f"registry={shlex.quote(_registry_of(name))}\n{_PODMAN_LOGIN}" if has_login else ""
        pull, saved = (
            f'{verify}{registry}watched "$program" pull "$@" {name} || fail make\n',
            "--format docker-archive ",
        )
    return f'{pull}watched "$program" save {saved}-o "$part" {name} || fail make\n'


def _registry_of(name: str) -> str:
    return name.strip("'").partition("/")[0]
