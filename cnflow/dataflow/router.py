"""Chooses the executor of a task; makes one for an image that has none yet.

::

    image and executors=...  ──asked before──> next of the executors that fit
            │
            ├─labels of executors=...; that of a template stands for the executors made from it, too
            ├─image:    configured executors of that image ──none──> the one made from the first template for it
            ├─no image: executors on the bare node ──none──> configured executors with an image ──none──> refused
            └─fresh:    of these, those with a block for each task ──none──> one made from the first of these

The choice depends on the configuration, the image and the labels alone, not on the calls before: executors made for an
image are never in the way of another app, nor do they help one.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple, Protocol

from cnflow.errors import ConfigurationError, UnknownNameError
from cnflow.model.image import NO_IMAGE
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping, Sequence

    from cnflow.model.image import Image

_ANY_IMAGE = "HighThroughputExecutor(provider=DockerProvider())"
"""Executor of the advice where none is there that starts containers."""


class RoutableExecutor(NamedTuple):
    """Properties of an executor that routing depends on."""

    label: str
    image: Image
    needs_image: bool
    """Blocks are containers, so without an image it only serves as the template for images."""

    can_clone: bool
    """An executor for an image can be made from it."""

    template: str = ""
    """Label of the executor that it was made from; tasks for that one may run here."""

    fresh: bool = False
    """Each task gets a block of its own."""

    takes_images: bool = False
    """An executor for an image can be made from it, though it runs tasks on the bare node itself."""

    images: frozenset[str] | None = None
    """References of the images that executors made from it can run, as those of a standing pool; None: any."""

    def can_run(self, image: Image) -> bool:
        """Return whether an executor for *image* can be made from it."""
        return self.images is None or (image.is_plain and image.reference in self.images)

    @property
    def starts_containers(self) -> bool:
        """Blocks are containers where there is an image."""
        return self.needs_image or self.takes_images


class Clone(Protocol):
    """Makes and starts an executor from another one's settings."""

    def __call__(self, template: str, image: Image, label: str, *, fresh: bool) -> None:
        """Make one labelled *label* from the settings of *template*."""


class Router:
    """Chooses executors. Remembers its choices: another task with the same image and executors costs one look-up.

    Safe from any thread. *lock* is taken only to make an executor, so that other choices wait for nothing.

    Args:
        executors: the configured executors, in order.
        clone: makes and starts an executor: clone(template's label, image, new label, fresh=...). Called with the lock.
        lock: held while executors are made and started.
        ignore_images: run everything on the bare node.
    """

    def __init__(
        self,
        executors: Sequence[RoutableExecutor],
        clone: Clone,
        lock: threading.RLock,
        *,
        ignore_images: bool = False,
    ) -> None:
        self._executors: dict[str, RoutableExecutor] = {executor.label: executor for executor in executors}
        self._clone = clone
        self._lock = lock
        self._ignore_images = ignore_images
        self._choices: dict[tuple[str, str | tuple[str, ...], bool], itertools.cycle[str]] = {}

    @property
    def executors(self) -> Mapping[str, RoutableExecutor]:
        """Executors by label."""
        return self._executors

    def add(self, executor: RoutableExecutor) -> None:
        """Let *executor* take tasks."""
        self._executors[executor.label] = executor
        self._choices = {}  # not emptied: another thread may be about to add a choice that it made before

    def route(self, image: Image, executors: str | Sequence[str], *, fresh: bool = False) -> str:
        """Label of the executor for a task that wants *image* (or none) and one of *executors* (or ``"all"``).

        Several that fit take turns. With *fresh* it runs each task in a block of its own.

        Raises:
            UnknownNameError: no executor has such a label.
            ConfigurationError: none of them can run the task; says what to change.
        """
        wanted = executors if isinstance(executors, str) else tuple(executors)
        if self._ignore_images:
            image = NO_IMAGE
        key = (image.key, wanted, fresh)
        choices = self._choices
        choice = choices.get(key)
        if choice is None:
            choice = choices.setdefault(key, itertools.cycle(self._candidates(image, wanted, fresh=fresh)))
        return next(choice)

    def rule(self, label: str) -> str:
        """Return a sentence on the apps that the executor of *label* takes."""
        executor = self._executors.get(label)
        if executor is None:
            return ""
        name = f"Executor {label!r}"
        if executor.template:
            what = [f"image {str(executor.image)!r}"] if executor.image else []
            what += ["fresh=True"] if executor.fresh else []
            return f"{name} was made from {executor.template!r} for {' and '.join(what)}, and takes such apps alone."
        if not executor.image:
            return f"{name} has no image: it takes apps without one."
        also = "" if self._bare(list(self._executors.values())) else ", and apps without one, as no executor is without"
        return f"{name} has image {str(executor.image)!r}: it takes apps with that image{also}."

    def _candidates(self, image: Image, wanted: str | tuple[str, ...], *, fresh: bool) -> list[str]:
        executors = self._select(wanted)
        if not image:
            fit = self._bare(executors) or self._only_images(executors)
            return self._fresh(fit) if fresh else fit
        named = (wanted,) if isinstance(wanted, str) else wanted
        fit = [each.label for each in executors if _runs(each, image) and (not each.template or each.label in named)]
        if not fit:
            return [self._made_from(_first_template(image, executors), image, fresh=fresh)]
        return self._fresh(fit) if fresh else fit

    def _fresh(self, labels: Sequence[str]) -> list[str]:
        """Return those of *labels* with a block for each task; if there is none, that of one made from the first."""
        fit = [self._executors[label] for label in labels]
        fit.sort(key=lambda each: not each.can_clone)
        has_own = [each.label for each in fit if each.fresh]
        return has_own or [self._made_from(fit[0], fit[0].image, fresh=True)]

    @staticmethod
    def _bare(executors: Sequence[RoutableExecutor]) -> list[str]:
        fit = [executor for executor in executors if not executor.image and not executor.needs_image]
        return [executor.label for executor in fit if not executor.template]

    def _select(self, wanted: str | tuple[str, ...]) -> list[RoutableExecutor]:
        if wanted == "all":
            return list(self._executors.values())
        labels = (wanted,) if isinstance(wanted, str) else wanted
        for label in labels:
            if label not in self._executors:
                raise UnknownNameError("executor", label, self._executors)
        if not labels:
            raise ConfigurationError("executors=[] names no executor; leave it out to use all of them.")
        return [each for each in list(self._executors.values()) if each.label in labels or each.template in labels]

    def _only_images(self, executors: Sequence[RoutableExecutor]) -> list[str]:
        with_image = [each.label for each in executors if each.image and not each.template]
        if with_image and not self._ignore_images:
            return with_image
        labels = ", ".join(repr(each.label) for each in executors if not each.template)
        raise ConfigurationError(
            f"The app has no image, and no executor among {labels or 'those named'} runs without one: executors of "
            "containers take apps with an image, whatever was called before. Give the app or an executor image=..., or "
            "add a ThreadPoolExecutor or a HighThroughputExecutor(provider=LocalProvider()).",
        )

    def _made_from(self, template: RoutableExecutor, image: Image, *, fresh: bool) -> str:
        """Return the label of the executor that is made from *template* for *image*; make it if need be."""
        fresh = fresh or template.fresh
        with self._lock:
            for each in self._executors.values():
                if (each.template, each.image, each.fresh) == (template.label, image, fresh):
                    return each.label
            own = [] if image == template.image else [image.name_for_files()]
            more = ["fresh"] if fresh and not template.fresh else []
            label = self._free_label("-".join([template.label, *own, *more]))
            self._clone(template.label, image, label, fresh=fresh)
            self._executors[label] = template._replace(
                label=label, image=image, can_clone=False, template=template.label, fresh=fresh
            )
        return label

    def _free_label(self, label: str) -> str:
        """Return *label*, with a number appended where the name of another image has become the same."""
        candidates = itertools.chain([label], (f"{label}-{n}" for n in itertools.count(2)))
        return next(label for label in candidates if label not in self._executors)


def _runs(executor: RoutableExecutor, image: Image) -> bool:
    """Return whether tasks for *image* may run in *executor*: a plain name means a configured executor as it is."""
    if executor.image == image:
        return True
    return image.is_plain and not executor.template and executor.image.reference == image.reference


def _as_wanted(image: Image, executors: Sequence[RoutableExecutor]) -> str:
    """Return the options in which executors of the same reference differ from *image*; empty if there are none."""
    near = next((each for each in executors if each.image.reference == image.reference and not each.template), None)
    if near is None:
        return ""
    return f" with its options (executor {near.label!r} has another {', '.join(near.image.differences(image))})"


def _way_to_a_template(executors: Sequence[RoutableExecutor]) -> str:
    """Return how the user gets a template: of the provider that is there, if that starts containers of any image."""
    containers = [each for each in executors if each.can_clone and each.starts_containers]
    near = next((each for each in containers if each.images is None), None)
    if near is None and containers:
        return f"Give the server of {containers[0].label!r} a pool of that image, or add {_ANY_IMAGE}"
    if near is None:
        return f"Add {_ANY_IMAGE}"
    return f"Add an executor with the provider of {near.label!r} and without image="


def _first_template(image: Image, executors: Sequence[RoutableExecutor]) -> RoutableExecutor:
    """Return the template for *image* among *executors*.

    Raises:
        ConfigurationError: none of them starts containers.
    """
    # Pools that have the image go first, then providers of containers, then one of plain processes, which can only
    # report that it has none.
    templates = [each for each in executors if each.can_clone and not each.image and each.can_run(image)]
    templates.sort(key=lambda executor: (executor.images is None, not executor.starts_containers))
    if not templates:
        own = {str(executor.image) for executor in executors if executor.image and not executor.template}
        images = sorted(own.union(*(executor.images or () for executor in executors)))
        raise ConfigurationError(
            f"No executor runs image {str(image)!r}{_as_wanted(image, executors)} (images here: "
            f"{', '.join(images) or 'none'}) and none without an "
            f"image can serve as its template.{did_you_mean(str(image), images)} {_way_to_a_template(executors)}, or "
            "set Config(ignore_images=True) to run on the bare node.",
        )
    if not templates[0].starts_containers:
        raise ConfigurationError(
            f"Image {str(image)!r} is wanted, but executor {templates[0].label!r} starts plain processes, not "
            "containers. Give it a provider such as DockerProvider(), or set Config(ignore_images=True).",
        )
    return templates[0]
