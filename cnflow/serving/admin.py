"""What admins ask of a server of models, as JSON: over the control socket of its run, and from its fronts.

::

    cnflow serve roll ──control socket──┐
    HTTP front in the server ───────────┼──> {"do": "roll", ...} ──> AdminCommands ──> LiveService
    HTTP front beside it ──link─────────┘

All changes go one way, in the server's event loop, one at a time. The answer comes once calls have moved, or will not:
a version that cannot be loaded is an error, in words. What takes longer goes on, and the answer tells so.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from cnflow.config.serving import VersionConfig
from cnflow.errors import BlockError, ConfigurationError, UnknownNameError
from cnflow.model.image import NO_IMAGE, Image
from cnflow.serving.image_now import image_now
from cnflow.serving.plans import PlanState
from cnflow.serving.service import ServingError
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cnflow.config.serving import ServeConfig
    from cnflow.serving.image_now import ImageNow
    from cnflow.serving.link.front_link import Answering
    from cnflow.serving.live_service import LiveService
    from cnflow.serving.plans import Plan
    from cnflow.serving.service import ModelStatus, VersionStatus

COMMANDS = ("status", "roll", "back", "weights", "shadow", "drain")

GOES_ON = "goes_on"
"""Key of an answer to a change that is still under way."""

_LONGEST_WAIT = 20.0
_LOOK = 0.05

CONTROL = "serving"
"""Question of a run's control socket that its server of models answers."""


class AdminCommands:
    """Answers the questions of admins by the service; its methods are called in the event loop of the service.

    Args:
        service: that is changed.
        config: of the server.
        facts: returns what a status has besides models: address, fronts.
        order_drain: begins the end of the server.
        executor_for: makes the executor of a version's image, which may take seconds.
        wait: seconds within which a change is awaited.
    """

    def __init__(
        self,
        service: LiveService,
        config: ServeConfig,
        facts: Callable[[], Mapping[str, Any]],
        order_drain: Callable[[], None],
        executor_for: Callable[[VersionConfig], object],
        wait: float = _LONGEST_WAIT,
    ) -> None:
        self._service = service
        self._config = config
        self._facts = facts
        self._order_drain = order_drain
        self._executor_for = executor_for
        self._wait = wait
        self._turn = asyncio.Lock()

    async def answer(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to *question*.

        Raises:
            CnflowError: it is refused, in words.
        """
        what = str(question.get("do", "status"))
        if what not in COMMANDS:
            raise UnknownNameError("command of a server of models", what, COMMANDS)
        if what == "drain":
            self._order_drain()
        elif what != "status":
            model = str(question.get("model", ""))
            async with self._turn:
                await self._change(what, model, question)
                change = None if what == "shadow" else self._service.change_of(model)  # copies have no plan
            if change is not None and not await self._has_come(model, change):
                return {**self.status(), GOES_ON: True}
        return self.status()

    async def _has_come(self, model: str, change: Plan) -> bool:
        """Wait until calls have moved by *change*; False if that takes long.

        Raises:
            ServingError: a version of it cannot be loaded, or another change has come before.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._wait
        while change.state is PlanState.PENDING:
            if loop.time() > deadline:
                return False
            await asyncio.sleep(_LOOK)
        if (refusal := change.refusal(model)) is not None:
            raise refusal
        return True

    async def _change(self, what: str, model: str, question: Mapping[str, Any]) -> None:
        known = self._model(model)
        match what:
            case "roll":
                await self._roll(known, question)
            case "back":
                await self._service.roll_back(model)
            case "weights":
                await self._service.set_weights(model, _shares(known, question["weights"]))
            case _:
                await self._service.set_shadow(model, _shares(known, question["shadow"]))

    async def _roll(self, model: ModelStatus, question: Mapping[str, Any]) -> None:
        wanted = {name: question[name] for name in ("version", "image", "module", "function") if question.get(name)}
        if not wanted.get("image") and not wanted.get("module"):
            await self._service.roll(model.name, _named(model, str(wanted.get("version", ""))))
            return
        version, digest = self._new_version(model, wanted), ""
        if version.image:
            version, digest = await asyncio.to_thread(self._image_now, version)  # the service finds its executor made
        there = [each.version for each in model.versions if digest and each.digest == digest.rpartition(":")[2]]
        is_same = there and not wanted.keys() & {"version", "module", "function"}
        await self._service.roll(model.name, there[0] if is_same else version)

    def _image_now(self, version: VersionConfig) -> ImageNow:
        """What the image of *version* is now.

        Raises:
            ServingError: it cannot be had.
        """
        try:
            return image_now(version, self._executor_for)
        except (ConfigurationError, BlockError) as error:
            words = f"Image {str(version.image)!r} cannot be served, and calls stay where they are: {error}"
            raise ServingError(words, 400, "bad_image") from error

    def _new_version(self, model: ModelStatus, wanted: Mapping[str, Any]) -> VersionConfig:
        """Settings of a new version: those in *wanted*; module and options of the image are the first version's."""
        first = next((each.versions[0] for each in self._config.models if each.name == model.name), None)
        own: dict[str, Any] = {}
        if first is not None and first.module:
            own = {"module": first.module, "function": first.function, "example": first.example, "warm": first.warm}
        elif "module" not in wanted:
            raise ServingError(
                f"Model {model.name!r} is an app of Python code: name the module of the new version, by --module.",
                400,
                "module_missing",
            )
        before = Image.of(first.image) if first is not None else NO_IMAGE
        if wanted.get("image") and before and before.recipe is None:  # its memory, mounts and secrets are wanted again
            wanted = {**wanted, "image": before.replace(str(wanted["image"]))}
        try:
            return VersionConfig(**{**own, **wanted})
        except ConfigurationError as error:
            raise ServingError(str(error), 400, "wrong_version") from error

    def status(self) -> dict[str, Any]:
        """State of the server, of JSON's types."""
        models = [model_row(each) for each in self._service.models().values()]
        return {**self._facts(), "is_ready": self._service.is_ready, "models": models}

    def _model(self, name: str) -> ModelStatus:
        models = self._service.models()
        if name not in models:
            raise ServingError(
                f"There is no model {name!r}.{did_you_mean(name, models)} Known: {', '.join(models) or 'none'}.",
                404,
                "model_not_found",
            )
        return models[name]


def _named(model: ModelStatus, version: str) -> str:
    """*version*, if *model* has it."""
    names = [each.version for each in model.versions]
    if version not in names:
        raise ServingError(
            f"Model {model.name!r} has no version {version!r}.{did_you_mean(version, names)} Known: "
            f"{', '.join(names)}.",
            404,
            "version_not_found",
        )
    return version


def _shares(model: ModelStatus, shares: Mapping[str, Any]) -> dict[str, float]:
    return {_named(model, name): float(share) for name, share in shares.items()}


def model_row(model: ModelStatus) -> dict[str, Any]:
    """`ModelStatus` of JSON's types."""
    return {"name": model.name, "versions": [version_row(each) for each in model.versions]}


def version_row(version: VersionStatus) -> dict[str, Any]:
    """`VersionStatus` of JSON's types."""
    return {**version._asdict(), "description": dict(version.description)}


class RemoteAdmin:
    """Implements `cnflow.serving.service.ServiceAdmin` by questions.

    Args:
        ask: sends a question to the server, and returns its answer.
    """

    def __init__(self, ask: Answering) -> None:
        self._ask = ask

    async def set_weights(self, model: str, weights: Mapping[str, float]) -> bool:
        """Implements `ServiceAdmin.set_weights`."""
        return await self._has_come({"do": "weights", "model": model, "weights": dict(weights)})

    async def set_shadow(self, model: str, shares: Mapping[str, float]) -> None:
        """Implements `ServiceAdmin.set_shadow`."""
        await self._ask({"do": "shadow", "model": model, "shadow": dict(shares)})

    async def roll(self, model: str, version: str) -> bool:
        """Implements `ServiceAdmin.roll`."""
        return await self._has_come({"do": "roll", "model": model, "version": version})

    async def roll_back(self, model: str) -> bool:
        """Implements `ServiceAdmin.roll_back`."""
        return await self._has_come({"do": "back", "model": model})

    async def drain(self) -> None:
        """Implements `ServiceAdmin.drain`."""
        await self._ask({"do": "drain"})

    async def _has_come(self, question: Mapping[str, Any]) -> bool:
        return not (await self._ask(question)).get(GOES_ON, False)
