"""Checks of a site before a run: its folders, its container runtimes, its Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.errors import BlockError
from cnflow.model.finding import Finding, Verdict
from cnflow.sites.failures import advice_on
from cnflow.sites.scripts import expression_of
from cnflow.units import GIB, Seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cnflow.config.batch import SiteSettings
    from cnflow.config.runtimes import RuntimeSettings
    from cnflow.interfaces.channel import Completed
    from cnflow.sites.folder import SiteFolder

_LITTLE = GIB
"""Bytes below which a file system is called nearly full: cnflow's own code has 60 MB, images have more."""


def examine(settings: SiteSettings, site: SiteFolder) -> list[Finding]:
    """Findings about a site that can be reached; a site that cannot is one finding."""
    try:
        facts = site.facts()
        folders = list(dict.fromkeys(filter(None, (facts.folder, settings.image_cache_dir))))
        timeout = Seconds(settings.cmd_timeout)
        runs = [site.channel.run(["sh", "-c", space_script(folder)], timeout=timeout) for folder in folders]
        spaces = [space_finding(folder, done) for folder, done in zip(folders, runs, strict=True)]
        return [*spaces, *_runtime_findings(settings, site), _python_finding(settings, site)]
    except BlockError as error:
        words, _, advice = str(error).partition("\n")
        return [Finding(f"site {site.channel.name}", Verdict.BAD, words, advice)]


def space_script(folder: str) -> str:
    """Script that writes to *folder*, and prints how much is free there, in KiB."""
    return (
        f"umask 077; folder={expression_of(folder)}\n"
        'mkdir -p -- "$folder" && probe=$folder/.cnflow-check.$$ && trap \'rm -f -- "$probe"\' EXIT || exit 1\n'
        'head -c 65536 /dev/zero > "$probe" || exit 1\n'
        "df -Pk -- \"$folder\" | awk 'NR == 2 {print $4}'\n"
    )


def space_finding(folder: str, done: Completed) -> Finding:
    """Finding about a folder, from the output of `space_script`."""
    about = f"folder {folder}"
    if done.exit_code:
        words = done.stderr.strip()[-400:] or f"exit code {done.exit_code}"
        return Finding(about, Verdict.BAD, f"cannot be written: {words}", advice_on(words))
    text = done.stdout.strip()
    if not text.isdigit():
        return Finding(about, Verdict.GOOD, "can be written")
    free = int(text) * 1024
    found = f"can be written; {free / GIB:,.1f} GiB of its file system are free"
    if free < _LITTLE:
        return Finding(about, Verdict.ABSENT, found, advice_on("no space left"))
    return Finding(about, Verdict.GOOD, found)


def runtime_finding(runtime: RuntimeSettings, found: Sequence[str], names: Sequence[str]) -> Finding:
    """Finding about the programs of container runtimes: *found* are paths of those of *names* that are there."""
    if found:
        return Finding("containers", Verdict.GOOD, f"the login node has {', '.join(found)}")
    advice = (
        "Nodes may have it where the login node has not: --probe-job looks there. If a module brings it, write "
        f"worker_init='module load {names[0]}'."
    )
    return Finding("containers", Verdict.ABSENT, f"runtime {runtime.kind!r}: no {' or '.join(names)} is found", advice)


def programs_of(runtime: RuntimeSettings) -> list[str]:
    """Names of the programs that *runtime* may need; empty for the bare node."""
    if runtime.program:
        return [runtime.program]
    candidates: Iterable[RuntimeSettings] = getattr(runtime, "candidates", lambda: (runtime,))()
    return list(dict.fromkeys(name for each in candidates for name in each.programs))


def _runtime_findings(settings: SiteSettings, site: SiteFolder) -> list[Finding]:
    names = programs_of(settings.runtime)
    if not names:
        return []
    script = 'for name; do command -v "$name"; done; true'
    done = site.channel.run(["sh", "-c", script, "sh", *names], timeout=Seconds(settings.cmd_timeout))
    paths = [line for line in done.stdout.splitlines() if line.startswith("/")]
    return [runtime_finding(settings.runtime, paths, names)]


def _python_finding(settings: SiteSettings, site: SiteFolder) -> Finding:
    """What runs workers where no image is asked for; nothing is sent there."""
    if settings.python:
        return Finding("Python", Verdict.GOOD, f"{settings.python} is {site.probe(settings.python)}")
    if site.channel.is_local:
        return Finding("Python", Verdict.GOOD, "workers on bare nodes run on the Python of this script")
    found = site.facts().python
    own = "workers on bare nodes run on the one that cnflow brings along"
    return Finding("Python", Verdict.GOOD, f"the site has {found}" if found else f"the site has no python3; {own}")
