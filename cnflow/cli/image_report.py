"""What is in an image, as ``cnflow image check`` prints it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cnflow.config.providers import DockerProvider
from cnflow.config.registry import backend_of
from cnflow.errors import ConfigurationError
from cnflow.model.finding import Verdict
from cnflow.model.image import Image
from cnflow.providers._shared.secrets import redact
from cnflow.text import align_columns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnflow.capsule.survey import ImageReport

_SHOWN_PACKAGES = 12
_NONE = "-"


def report_on(reference: str) -> ImageReport:
    """Find, pull and probe an image of the engine that `DockerProvider` finds by itself.

    Raises:
        MissingExtraError: the Docker SDK is not installed.
        BlockError: the image was not found, or no worker can run in it.
    """
    if not reference.strip():
        raise ConfigurationError("No image is named. Name one, such as app1:0.1.")
    settings = DockerProvider()
    provider = backend_of(settings)(settings)
    try:
        report: ImageReport = provider.report_on(Image(reference))
    finally:
        provider.close()
    return report


def is_bad(report: ImageReport) -> bool:
    """True if something will not work in the image."""
    return any(finding.verdict is Verdict.BAD for finding in report.findings)


def plain(report: ImageReport) -> dict[str, Any]:
    """Return *report* as dicts, lists and texts, without the values of variables that are secret by their names."""
    notes = [{**vars(finding), "verdict": finding.verdict.value} for finding in report.findings]
    values = {**asdict(report), "findings": notes}
    values["config"]["environment"] = redact(report.config.environment)
    return values


def table(report: ImageReport) -> str:
    """Return *report* in two aligned columns."""
    return align_columns([list(row) for row in _rows(report)], ())


def _rows(report: ImageReport) -> Iterator[tuple[str, str]]:
    probe, survey, config = report.probe, report.survey, report.config
    yield "image", report.reference
    yield "digest", report.digest
    yield "system", survey.system or _NONE
    yield "architecture", config.architecture or probe.machine
    yield "C library", probe.libc or "unknown"
    own = "brought by cnflow, as the image has none" if probe.is_carried else probe.executable or _NONE
    yield "Python of workers", f"{probe.version}  {own}"
    for number, found in enumerate(each for each in survey.pythons if each.path != probe.executable):
        name = "" if found.implementation == "CPython" else f"  {found.implementation}"
        yield "" if number else "other Pythons", f"{found.version}  {found.path}{name}"
    yield "capsule", report.capsule
    yield "packages", _packages(report)
    yield "user", f"{survey.user or probe.uid}, home {survey.home or _NONE}"
    yield "USER", config.user or _NONE
    yield "ENTRYPOINT", " ".join(config.entrypoint) or _NONE
    yield "CMD", " ".join(config.command) or _NONE
    yield "WORKDIR", config.working_dir or "/"
    yield "variables", ", ".join(sorted(config.environment)) or _NONE
    yield "shell", survey.shell or "none"
    yield "GPU libraries", ", ".join(_gpu_libraries(report)) or "none"


def _packages(report: ImageReport) -> str:
    packages = sorted(report.survey.packages.items())
    shown = ", ".join(f"{name} {version}" for name, version in packages[:_SHOWN_PACKAGES])
    more = len(packages) - _SHOWN_PACKAGES
    return f"{len(packages)}: {shown}{f', and {more} more (--json)' if more > 0 else ''}" if packages else "none"


def _gpu_libraries(report: ImageReport) -> Iterator[str]:
    survey = report.survey
    if survey.libcuda:
        yield survey.libcuda
    if survey.cuda:
        yield f"CUDA {survey.cuda}"
    if survey.rocm:
        yield f"ROCm {survey.rocm}"
