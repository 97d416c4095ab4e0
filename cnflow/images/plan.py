"""Reads the files that a recipe names, and decides by their content what the image is called.

::

    recipe ──make_plan──> Plan(start, steps, entries, bases) ──fingerprint(ids of bases, platform)──> cnflow/NAME:HASH
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cnflow.config.paths import expand_path
from cnflow.errors import ImageBuildError
from cnflow.images.context import Entry, collect, digest_of, file_entry, ignored_in, one_file
from cnflow.images.dockerfile import (
    COPIED,
    REQUIREMENTS,
    Compiled,
    bases_of,
    compile_step,
    is_plain_name,
    logical_lines,
    needs_buildkit,
    with_final_stage,
)
from cnflow.images.requirements import export_of_uv_lock, requirements_entries
from cnflow.model import image_recipe as recipes
from cnflow.text import amount_of_memory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.model.image_parts import Secret

BASE_VARIABLE = "CNFLOW_BASE_IMAGE"
"""Variable with the image that ``Image.python`` starts from; ``{python}`` in it is the version."""

_VERSION = 1
"""Changes with what the same recipe is compiled to in a way that makes another image."""


@dataclass(frozen=True)
class Plan:
    """All that an image is built from, besides its bases."""

    recipe: recipes.ImageRecipe
    start: str
    """Dockerfile that the steps are added to."""

    steps: tuple[Compiled, ...]
    entries: tuple[Entry, ...]
    """Files that they copy."""

    bases: tuple[str, ...]
    """Images that `start` begins with."""

    files: str
    """Hash of `entries`."""

    needs_buildkit: bool = False
    """The user's own Dockerfile does."""

    @property
    def secrets(self) -> dict[str, Secret]:
        """All secrets, by name.

        Raises:
            ImageBuildError: two steps mean different ones by one name.
        """
        found = dict(self.recipe.secrets)
        for step in self.recipe.steps:
            for name, secret in step.named_secrets.items():
                if found.setdefault(name, secret) != secret:
                    raise ImageBuildError(
                        f"Two steps of {self.recipe.image_name} have different secrets {name!r}. Rename one."
                    )
        return found

    def fingerprint(self, base_ids: Mapping[str, str], platform: str) -> str:
        """Return the hash of everything that could change the image; values of secrets are no part of it.

        Args:
            base_ids: ids of the bases that the engine has.
            platform: such as ``linux/amd64``.
        """
        parts = {
            "version": _VERSION,
            "start": self.start,
            "steps": [[*step.before, step.shell if step.command else "", *step.secrets] for step in self.steps],
            "args": self.recipe.args,
            "target": self.recipe.target,
            "files": self.files,
            "bases": [base_ids.get(base) or base for base in self.bases],
            "platform": platform,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def make_plan(recipe: recipes.ImageRecipe, environment: Mapping[str, str] = os.environ) -> Plan:
    """Read the files of *recipe*.

    Raises:
        ImageBuildError: a file is missing or unusable, or all are too large; names it, and what to do.
    """
    start, bases, entries, buildkit = _start_of(recipe, environment)
    steps = []
    for number, step in enumerate(recipe.steps, 1):
        own, copied_file = _files_of(step, f"{COPIED}/{number}")
        entries += [Entry(f"{COPIED}/{number}", mode=stat.S_IFDIR | 0o755), *own] if own or _copies(step) else []
        steps.append(compile_step(step, number, copied_file))
    _refuse_too_large(recipe, entries)
    return Plan(recipe, start, tuple(steps), tuple(entries), bases, digest_of(entries), buildkit)


def base_reference(recipe: recipes.ImageRecipe, environment: Mapping[str, str]) -> str:
    """Return the image that the steps of a recipe without a Dockerfile start from."""
    if recipe.base:
        return recipe.base
    if template := environment.get(BASE_VARIABLE, ""):
        return template.replace("{python}", recipe.python)
    return f"python:{recipe.python}-slim"


def _start_of(
    recipe: recipes.ImageRecipe, environment: Mapping[str, str]
) -> tuple[str, tuple[str, ...], list[Entry], bool]:
    if not recipe.dockerfile:
        base = base_reference(recipe, environment)
        return f"FROM {base}", (base,), [], False
    given = _path(recipe.dockerfile)
    file = given / "Dockerfile" if given.is_dir() else given
    folder = _path(recipe.context) if recipe.context else file.parent
    one_file(file, "")
    if not folder.is_dir():
        raise ImageBuildError(f"context={str(folder)!r} is no folder. Name the one whose files the Dockerfile copies.")
    try:
        text = file.read_text(encoding="utf-8")
    except ValueError as error:
        raise ImageBuildError(f"{file} is no text: {error}. Name a Dockerfile.") from error
    if not any(line.upper().startswith("FROM ") for line in logical_lines(text)):
        raise ImageBuildError(f"{file} is no Dockerfile: it has no FROM. Write FROM IMAGE at its top.")
    entries = collect(folder, ignored_in(folder, file))
    start = with_final_stage(text, recipe.target if recipe.steps else "")
    return start, bases_of(text, recipe.args), entries, needs_buildkit(text)


def _path(text: str) -> Path:
    try:
        return Path(expand_path(text))
    except ValueError as error:
        raise ImageBuildError(f"A path of a recipe cannot be used: {error}.") from error


def _copies(step: recipes.RecipeStep) -> bool:
    return isinstance(step, recipes.CopyLocal | recipes.Requirements | recipes.UvLock)


def _files_of(step: recipes.RecipeStep, folder: str) -> tuple[list[Entry], str]:
    """Return what a step copies, below *folder* of the context; and the name of a single file there."""
    match step:
        case recipes.Requirements():
            return requirements_entries(_path(step.requirements), folder), ""
        case recipes.UvLock():
            return [file_entry(f"{folder}/{REQUIREMENTS}", export_of_uv_lock(step, _path(step.uv_lock)))], ""
        case recipes.CopyLocal():
            source = _path(step.copy_local)
            if source.is_dir():
                return collect(source, ignored_in(source), f"{folder}/"), ""
            stays = step.to.endswith("/") or is_plain_name(source.name)
            name = source.name if stays else step.to.rpartition("/")[2]
            return [one_file(source, f"{folder}/{name}")], name
        case _:
            return [], ""


def _refuse_too_large(recipe: recipes.ImageRecipe, entries: Sequence[Entry]) -> None:
    size, limit = sum(entry.size for entry in entries), int(recipe.context_limit)
    if size <= limit:
        return
    largest = sorted(entries, key=lambda entry: -entry.size)[:3]
    named = ", ".join(f"{entry.source or entry.name} ({amount_of_memory(entry.size)})" for entry in largest)
    raise ImageBuildError(
        f"The {len(entries)} files to copy into image {recipe.image_name} have {amount_of_memory(size)}, more than "
        f"context_limit={amount_of_memory(limit)}; the largest: {named}.\nKeep files out by a .dockerignore "
        "beside them, mount data instead of copying it (mounts=), or set a larger context_limit."
    )
