"""Names the cause of an engine's refusal, or of the end of an image's Python, and what to do. No I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from cnflow.capsule import no_python
from cnflow.errors import BlockRejectedError, ImageUnusableError
from cnflow.providers.docker.responses import KILLED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.capsule import Kind, Probe
    from cnflow.errors import BlockError

_QUOTED = 400
"""Characters of an interpreter's output that an error quotes."""

_NOT_FOUND = ("executable file not found", "no such file or directory")
"""Words of an engine about a program that an image does not have."""

ENOUGH_MEMORY = (
    "A manager with one worker takes about 32 MiB, and each further worker 12 MiB, besides what tasks use: set a "
    "larger memory= of DockerProvider."
)


class Answer(NamedTuple):
    """End of a container that ran an interpreter."""

    python: str
    words: str
    """Its output, or the engine's refusal."""

    code: int | None
    """Exit code; None where the engine refused to start it."""

    def __str__(self) -> str:
        return f"{self.python}: {self.words[-_QUOTED:] or f'exited with code {self.code}, in silence'}"


# Words of Docker 20.10 to 28 and of Podman 4 and 5, and what the user can do; the first that fits counts.
_ADVICE: tuple[tuple[str, str], ...] = (
    (
        r"bind source path does not exist|statfs .*no such file",
        "That path of a mount is not on the engine's machine: make it there, or correct mounts=.",
    ),
    (r"unable to find (user|group)|no matching entries in", "Name a user that the image has, or numbers: user='1000'."),
    (r"could not select device driver|nvidia", "Install the NVIDIA container toolkit there, or leave out gpus=."),
    (
        r"network \S+ not found|unable to find network",
        "Make that network (docker network create), or correct network=.",
    ),
    (r"range of cpus", "Ask for no more cpus= than the engine's machine has."),
    (r"wrong rlimit|invalid ulimit", "Correct the name in ulimits=: one of setrlimit(2), such as 'nofile'."),
    (r"rlimit|ulimit", "Correct ulimits=: limits above the engine's own need a privileged engine."),
    (
        r"does not match the specified platform",
        "Pull it for that platform, or build it there; or leave out platform=.",
    ),
    (r"memory limit|out of memory", "Correct memory=."),
    (r"too many open files", "Raise the limit of open files: ulimits={'nofile': 1024}."),
    (
        r"resource temporarily unavailable|can't start new thread|fork: retry|cannot fork|cannot allocate memory",
        "Raise the limit of processes: a larger pids=, or ulimits={'nproc': ...}.",
    ),
)


def advice_for(words: str) -> str:
    """Return what the user can do about a container that an engine refused, or that failed, in *words*; or nothing."""
    return next((advice for pattern, advice in _ADVICE if re.search(pattern, words, re.IGNORECASE)), "")


def refused_container(image: str, step: str, refusal: BlockRejectedError) -> BlockRejectedError:
    """Return *refusal* of a container of *image*, with its name, the step that needed it, and advice."""
    words = str(refusal)
    if repr(image) in words:
        return refusal
    advice = advice_for(words)
    return BlockRejectedError(f"Image {image!r}: {step} failed: {words}" + (f"\n{advice}" if advice else ""))


def with_advice(refusal: BlockRejectedError, mounted: Sequence[str], image: str) -> BlockRejectedError:
    """Return the refusal of a block of *image*, with advice, also on the *mounted* folders of the script."""
    words = str(refusal)
    if not any(folder in words for folder in mounted):
        return refused_container(image, "starting a block", refusal)
    return BlockRejectedError(
        f"{words}\nThe folders of the script and of its run are mounted into containers at their own paths. If the "
        "engine does not see them, as where the script runs in a container itself, set "
        "DockerProvider(mount_folders=False), and mount what tasks need by mounts=."
    )


def lacks_python(answers: Sequence[Answer]) -> bool:
    """True if the engine started none of the interpreters because the image has none."""
    return all(answer.code is None and any(lack in answer.words for lack in _NOT_FOUND) for answer in answers)


def runs_on_carried(image: str, probe: Probe, kind: Kind, path: str) -> str:
    """Return the warning for an image whose apps run on another Python than its own, if it has one in its *path*."""
    where = f" (in its PATH, {path})" if path else ""
    own = f"no Python{where}" if probe.is_carried else f"{probe}, which is too old for workers"
    return (
        f"image {image!r} has {own}: its apps run on the driver's Python {kind.python}, which cnflow brings along with "
        "the standard library alone; commands of bash apps run as in any other image"
    )


def no_start(image: str, answers: Sequence[Answer], path: str, memory_limit: str) -> BlockError:
    """Return the error for an image none of whose interpreters reported what it is.

    Args:
        image: its name.
        answers: one for each interpreter that was tried.
        path: PATH of the image.
        memory_limit: of the container, as the user wrote it; empty if there was none.
    """
    words = "; ".join(map(str, answers))
    first = answers[0].words
    if any(answer.code == KILLED or "memory limit" in answer.words for answer in answers):
        limit = f"a limit of {memory_limit} of memory" if memory_limit else "the memory that is left on its machine"
        return ImageUnusableError(
            f"The Python of image {image!r} was killed when it started, most likely for want of memory: it had "
            f"{limit}. {ENOUGH_MEMORY}"
        )
    advice = advice_for(words)
    if advice and any(answer.code is not None for answer in answers):
        return ImageUnusableError(f"The Python of image {image!r} does not start: {words}\n{advice}")
    if "exec format error" in words:
        return ImageUnusableError(
            f"Image {image!r} is for another architecture than its engine's machine: {words}\nBuild or pull it for "
            "that one: Image(..., platform='linux/amd64') pulls it for another than the engine chooses."
        )
    if all(answer.code is None for answer in answers):
        if "permission denied" in first:
            return ImageUnusableError(
                f"The Python of image {image!r} may not be run by the user of its containers: {words}\nThey run as the "
                "script's user, so that files of tasks belong to that user. Make it readable for all in the image, or "
                "set DockerProvider(user=...)."
            )
        if not any(lack in first for lack in _NOT_FOUND):
            return BlockRejectedError(
                f"The engine starts no container of image {image!r} with these options: {first}"
                + (f"\n{advice}" if advice else "")
            )
    where = f" (in its PATH, {path})" if path else ""
    return no_python(f"image {image!r}", f"{words}{where}")


def broken_environment(image: str, words: str, suspects: Sequence[str]) -> ImageUnusableError:
    """Return the error for an image whose Python starts only without variables of its environment.

    Args:
        image: its name.
        words: of the interpreter that did not start.
        suspects: names of the variables; empty where it needs more than one of them to be gone.
    """
    quoted = words[-_QUOTED:]
    if advice := advice_for(words):
        return ImageUnusableError(f"The Python of image {image!r} cannot start what a worker needs: {quoted}\n{advice}")
    if not suspects:
        return ImageUnusableError(
            f"The Python of image {image!r} starts only if it ignores its environment: {quoted}\nCorrect the ENV of "
            "the image, or DockerProvider(environment=...)."
        )
    names = " or ".join(suspects) if len(suspects) > 1 else suspects[0]
    return ImageUnusableError(
        f"The Python of image {image!r} does not start with the {names} that the image's ENV or "
        f"DockerProvider(environment=...) sets: {quoted}\nRemove it there, or empty it: "
        f"DockerProvider(environment={dict.fromkeys(suspects, '')})."
    )
