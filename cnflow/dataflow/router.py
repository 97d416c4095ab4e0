"""Which executor runs a task; pure, but for making an executor for an image that has none yet."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, NamedTuple

from cnflow.errors import ConfigurationError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class RoutableExecutor(NamedTuple):
    """What the router knows of an executor."""

    label: str
    image: str
    needs_image: bool
    """Its blocks are containers, so without an image it only serves as the template for images."""

    can_clone: bool
    """An executor for an image can be made from it."""

    template: str = ""
    """Label of the executor that it was made from; whoever asks for that may have this."""


class Router:
    """Remembers its answers: the second call with the same wishes costs one look-up.

    Args:
        places: the configured executors, in order.
        ignore_images: run everything on the bare node.
        clone: makes and starts an executor labelled *label* for *image* from the one labelled *template*.
    """

    def __init__(
        self, places: Sequence[RoutableExecutor], clone: Callable[[str, str, str], None], *, ignore_images: bool = False
    ) -> None:
        self._places: dict[str, RoutableExecutor] = {place.label: place for place in places}
        self._clone = clone
        self._ignore_images = ignore_images
        self._answers: dict[tuple[str, str | tuple[str, ...]], itertools.cycle[str]] = {}

    @property
    def executors(self) -> Mapping[str, RoutableExecutor]:
        """Executors by label."""
        return self._places

    def add(self, place: RoutableExecutor) -> None:
        """One more executor, of the user's own."""
        self._places[place.label] = place
        self._answers.clear()

    def route(self, image: str, executors: str | Sequence[str]) -> str:
        """Label of the executor for a task that wants *image* (or none) and one of *executors* (or ``"all"``).

        Several that fit take turns.

        Raises:
            UnknownNameError: no executor has such a label.
            ConfigurationError: none of them can run the task; says what to change.
        """
        wished = executors if isinstance(executors, str) else tuple(executors)
        key = ("" if self._ignore_images else image, wished)
        if key not in self._answers:
            self._answers[key] = itertools.cycle(self._candidates(*key))
        return next(self._answers[key])

    def _candidates(self, image: str, wished: str | tuple[str, ...]) -> list[str]:
        allowed = self._allowed(wished)
        if image:
            ready = [place.label for place in allowed if place.image == image]
            return ready or [self._make(image, allowed)]
        bare = [place.label for place in allowed if not place.image and not place.needs_image]
        return bare or self._only_images(allowed)

    def _allowed(self, wished: str | tuple[str, ...]) -> list[RoutableExecutor]:
        if wished == "all":
            return list(self._places.values())
        labels = (wished,) if isinstance(wished, str) else wished
        for label in labels:
            if label not in self._places:
                raise UnknownNameError("executor", label, self._places)
        if not labels:
            raise ConfigurationError("executors=[] names no executor; leave it out to use all of them.")
        return [place for place in self._places.values() if place.label in labels or place.template in labels]

    def _only_images(self, allowed: Sequence[RoutableExecutor]) -> list[str]:
        with_image = [place.label for place in allowed if place.image]
        if with_image and not self._ignore_images:
            return with_image
        labels = ", ".join(repr(place.label) for place in allowed)
        raise ConfigurationError(
            f"The app has no image, and no executor among {labels} runs without one. Give the app or an executor "
            "image=..., or add a ThreadPoolExecutor or a HighThroughputExecutor(provider=LocalProvider()).",
        )

    def _make(self, image: str, allowed: Sequence[RoutableExecutor]) -> str:
        # A provider of containers goes before one of plain processes, which can only say that it has none.
        templates = [place for place in allowed if place.can_clone and not place.image]
        templates.sort(key=lambda place: not place.needs_image)
        if not templates:
            known = sorted({place.image for place in allowed if place.image})
            raise ConfigurationError(
                f"No executor runs image {image!r} (images here: {', '.join(known) or 'none'}) and none without an "
                "image can serve as its template. Add HighThroughputExecutor(provider=DockerProvider()), or set "
                "Config(ignore_images=True) to run on the bare node.",
            )
        if not templates[0].needs_image:
            raise ConfigurationError(
                f"Image {image!r} is wanted, but executor {templates[0].label!r} starts plain processes, not "
                "containers. Give it a provider such as DockerProvider(), or set Config(ignore_images=True).",
            )
        template = templates[0]
        label = self._free_label(f"{template.label}-{re.sub(r'[^A-Za-z0-9._-]+', '-', image)}")
        self._clone(template.label, image, label)
        self._places[label] = template._replace(label=label, image=image, can_clone=False, template=template.label)
        return label

    def _free_label(self, wished: str) -> str:
        """*wished*, or with a number behind it where another image's name has become the same."""
        candidates = itertools.chain([wished], (f"{wished}-{n}" for n in itertools.count(2)))
        return next(label for label in candidates if label not in self._places)
