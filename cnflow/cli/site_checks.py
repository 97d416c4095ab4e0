"""Checks of `cnflow config check`: each executor's options, and on request its system, images and nodes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from cnflow.cli.request_preview import preview_requests
from cnflow.config import Config, HighThroughputExecutor
from cnflow.config.batch import SiteSettings
from cnflow.config.registry import backend_of
from cnflow.config.ways import DialIn
from cnflow.errors import CnflowError
from cnflow.interfaces.provider import BuildsImages, ProbesNodes
from cnflow.model.finding import Finding, Verdict
from cnflow.sites import checks
from cnflow.sites.folder import SiteFolder
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cnflow.interfaces import Provider


@dataclass(frozen=True)
class Depth:
    """What is checked beside the options."""

    on_site: bool
    probe_job: bool
    timeout: Seconds


def check_config(config: Config, depth: Depth) -> dict[str, list[Finding]]:
    """Findings by the label of the executor."""
    found = {executor.label: _findings_of(partial(_check_options, executor)) for executor in config.executors}
    if depth.on_site:
        for executor in config.executors:
            if isinstance(executor, HighThroughputExecutor) and is_fine(found[executor.label]):
                found[executor.label] += _findings_of(partial(_check_system, executor, depth))
    return found


def _check_options(executor: object) -> list[Finding]:
    if isinstance(executor, HighThroughputExecutor):
        preview_requests(Config(executors=[executor]))
        return [Finding("options", Verdict.GOOD, f"of {type(executor.provider).__name__} are consistent")]
    return [Finding("options", Verdict.GOOD, "are consistent")]


def _check_system(executor: HighThroughputExecutor, depth: Depth) -> list[Finding]:
    provider: Provider = backend_of(executor.provider)(executor.provider)
    try:
        found = list(provider.check())
        if not is_fine(found):
            return found
        if isinstance(executor.provider, SiteSettings):
            found += _check_site(executor.provider)
        if executor.image and is_fine(found):
            found += _findings_of(partial(_check_image, executor, provider))
        if depth.probe_job and is_fine(found):
            found += _probe(executor, provider, depth.timeout)
        return found
    finally:
        provider.close()


def _check_site(settings: SiteSettings) -> list[Finding]:
    channel = backend_of(settings.channel)(settings.channel)
    try:
        return checks.examine(settings, SiteFolder(channel, settings.site_dir, timeout=Seconds(settings.cmd_timeout)))
    finally:
        channel.close()


def _check_image(executor: HighThroughputExecutor, provider: Provider) -> list[Finding]:
    image = executor.image
    about = f"image {image}"
    if image.recipe is not None and isinstance(provider, BuildsImages):
        return [Finding(about, Verdict.ABSENT, "has a recipe, and is built by the run")]
    digest = provider.prepare(image)
    return [Finding(about, Verdict.GOOD, f"is there, and holds a manager; {digest}")]


def _probe(executor: HighThroughputExecutor, provider: Provider, timeout: Seconds) -> Sequence[Finding]:
    if not isinstance(provider, ProbesNodes):
        kind = type(executor.provider).__name__
        return [Finding("probe job", Verdict.ABSENT, f"{kind} has none: its nodes are this machine, or listed ones")]
    addresses = [executor.address] if executor.address else []
    if not addresses and isinstance(executor.way, DialIn):
        addresses = list(executor.way.addresses)
    runtime = executor.provider.runtime if isinstance(executor.provider, SiteSettings) else None
    programs = checks.programs_of(runtime) if runtime is not None else []
    return provider.probe_node(addresses, executor.worker_port_range or (0, 0), programs, timeout)


def _findings_of(check: Callable[[], Sequence[Finding]]) -> list[Finding]:
    try:
        return list(check())
    except CnflowError as error:
        words, _, advice = str(error).partition("\n")
        return [Finding("check", Verdict.BAD, words, advice)]


def is_fine(findings: Sequence[Finding]) -> bool:
    """True if no finding is bad."""
    return all(finding.verdict is not Verdict.BAD for finding in findings)
