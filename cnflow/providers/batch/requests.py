"""Makes what is sent for a job from the requests for its blocks."""

from __future__ import annotations

import os
import posixpath
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnflow.capsule import CARRIED_PYTHON
from cnflow.providers._shared.manager_command import manager_command
from cnflow.providers._shared.python_path import python_path
from cnflow.providers._shared.secrets import redact
from cnflow.providers._shared.site_containers import Container, shown_container
from cnflow.providers.batch.dialect import JobRequest
from cnflow.providers.batch.files import folder_of
from cnflow.providers.batch.jobs import Job
from cnflow.providers.batch.script import ELEMENT, FOLDER, Body, render
from cnflow.sites.folder import BareNode
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.config.batch import BatchSettings
    from cnflow.model.block import BlockRequest
    from cnflow.model.node_command import NodeCommand
    from cnflow.providers._shared.site_containers import SiteContainers
    from cnflow.providers.batch.dialect import Dialect
    from cnflow.sites.folder import SiteFolder


@dataclass(frozen=True)
class Place:
    """What a job needs to know of its site."""

    folder: str
    """Absolute path of the site's folder."""

    node: BareNode | Container
    """What runs managers: an interpreter of the node, or containers."""

    is_local: bool
    """The site is this machine, or shares its files."""


def job_request(
    settings: BatchSettings, dialect: Dialect, site: SiteFolder, containers: SiteContainers, job: Job
) -> tuple[JobRequest, dict[str, bytes]]:
    """Return the request for *job*, and its files by their names in its folder.

    Raises:
        BlockError: the site cannot be reached, or cannot run workers.
    """
    image, carries = job.first.image, not settings.has_shared_files
    node = containers.container(image) if image else site.bare_node(settings.python, carries=carries)
    return make_request(settings, dialect, Place(site.facts().folder, node, site.channel.is_local), job)


def make_request(
    settings: BatchSettings, dialect: Dialect, place: Place, job: Job
) -> tuple[JobRequest, dict[str, bytes]]:
    """As `job_request`; pure but for the search path of this Python."""
    first = job.first
    folder = f"{place.folder}/{folder_of(first.run, first.executor)}"
    own = folder if settings.has_shared_files else FOLDER
    marked = f"{own}/{job.name}.settings.{ELEMENT}"
    near = _brought(place.node)
    files: dict[str, bytes] = {}
    copies: dict[str, str] = {}
    for element, request in enumerate(job.requests):
        command = _command(settings, request, place, place.node if settings.has_shared_files else near, marked)
        for number, (path, content) in enumerate(command.files.items()):
            kind = f"settings-{number}" if number else "settings"
            files[f"{job.name}.{kind}.{element}"] = content
            source = f"{own}/{job.name}.{kind}.{ELEMENT}"
            if path != source:
                copies[source] = path
    walltime = None if first.walltime is None else Seconds(first.walltime)
    is_array = len(job.requests) > 1
    body = Body(
        argv=settings.launcher.wrap(command.argv, first.nodes),
        index_variable=dialect.index_variable if is_array else "",
        first_index=dialect.first_index,
        walltime=walltime,
        environment=_environment(settings, place, command),
        folder=first.folder if place.is_local and settings.has_shared_files else "",
        worker_init=settings.worker_init,
        copies=copies,
    )
    made = JobRequest(
        job.name,
        first.nodes,
        walltime,
        render(body),
        output=f"{folder}/{job.name}.out",
        size=len(job.requests),
        files=() if settings.has_shared_files else _files(place.node, first),
        element_files=() if settings.has_shared_files else tuple(dict.fromkeys(_without_element(folder, files))),
    )
    return made, files


def _files(node: BareNode | Container, request: BlockRequest) -> tuple[str, ...]:
    """Return the paths at the site of what each job needs."""
    if isinstance(node, Container):
        return node.files
    return () if request.command else (node.root,)


def _without_element(folder: str, files: Mapping[str, bytes]) -> list[str]:
    return [f"{folder}/{name.rpartition('.')[0]}" for name in files]


def preview_of(settings: BatchSettings, dialect: Dialect, request: BlockRequest) -> Mapping[str, object]:
    """Return what `submit` would send, without keys and other secrets; no site is asked."""
    hidden = settings.model_copy(update={"environment": redact(settings.environment)})
    own = sys.executable if settings.has_shared_files else f"CAPSULE/{CARRIED_PYTHON}"
    bare = BareNode(settings.python or own, "CAPSULE")
    node = shown_container(hidden, request.image) if request.image else bare
    place = Place("SITE_DIR", node, is_local=True)
    job = Job((request,))
    made, _ = make_request(hidden, dialect, place, job)
    path = f"SITE_DIR/{folder_of(request.run, request.executor)}/{job.name}.sh"
    return {
        "command": list(dialect.submit_command(settings, path)),
        "script": dialect.submit_script(settings, made).splitlines(),
    }


def _brought(node: BareNode | Container) -> BareNode | Container:
    """Return *node* where the scheduler has brought its code, and its image, to the first folder of the job."""
    if isinstance(node, Container):
        return node.moved(FOLDER)
    root = f"{FOLDER}/{posixpath.basename(node.root)}"
    is_inside = node.python.startswith(f"{node.root}/")
    return node._replace(python=f"{root}{node.python[len(node.root) :]}" if is_inside else node.python, root=root)


def _command(
    settings: BatchSettings, request: BlockRequest, place: Place, node: BareNode | Container, settings_file: str
) -> NodeCommand:
    """Return the command of the manager; its settings stay where they are: a job may start a second time."""
    if isinstance(node, BareNode):
        return request.command or _manager(request, node, settings_file)
    shares_files = place.is_local and settings.has_shared_files
    script = settings_file.replace(".settings.", ".settings-1.")
    return node.command(request, settings_file, script, settings.environment, shares_files=shares_files)


def _manager(request: BlockRequest, node: BareNode, settings_file: str) -> NodeCommand:
    manager = request.manager
    if node.worker is not None:
        manager = manager.with_worker_python(node.worker.executable, node.worker.version)
    return manager_command(
        manager,
        python=node.python,
        root=node.root,
        settings_file=settings_file,
        is_isolated=not node.is_own,
        is_shared=True,
    )


def _environment(settings: BatchSettings, place: Place, command: NodeCommand) -> dict[str, str]:
    environment = {**settings.environment, **command.environment}
    if isinstance(place.node, BareNode) and place.node.is_own:
        before = environment.get("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
        environment["PYTHONPATH"] = python_path(sys.path, before)
    return environment
