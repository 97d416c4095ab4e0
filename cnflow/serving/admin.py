"""What admins ask of a server of models, as JSON: over the control socket of its run, and from its fronts.

::

    cnflow serve roll ──control socket──┐
    HTTP front in the server ───────────┼──> {"do": "roll", ...} ──> AdminCommands ──> LiveService
    HTTP front beside it ──link─────────┘

All changes go one way, in the server's event loop, one at a time.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from cnflow.config.serving import VersionConfig
from cnflow.errors import ConfigurationError, UnknownNameError
from cnflow.serving.service import ServingError
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cnflow.config.serving import ServeConfig
    from cnflow.serving.link.front_link import Answering
    from cnflow.serving.live_service import LiveService
    from cnflow.serving.service import ModelStatus, VersionStatus

COMMANDS = ("status", "roll", "back", "weights", "shadow", "drain")

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
    """

    def __init__(
        self,
        service: LiveService,
        config: ServeConfig,
        facts: Callable[[], Mapping[str, Any]],
        order_drain: Callable[[], None],
        executor_for: Callable[[VersionConfig], object],
    ) -> None:
        self._service = service
        self._config = config
        self._facts = facts
        self._order_drain = order_drain
        self._executor_for = executor_for
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
            async with self._turn:
                await self._change(what, str(question.get("model", "")), question)
        return self.status()

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
        version = self._new_version(model, wanted)
        if version.image:
            await asyncio.to_thread(self._executor_for, version)  # the service finds it made
        await self._service.roll(model.name, version)

    def _new_version(self, model: ModelStatus, wanted: Mapping[str, Any]) -> VersionConfig:
        """Settings of a new version: those in *wanted*, and the module of the model's first version."""
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

    async def set_weights(self, model: str, weights: Mapping[str, float]) -> None:
        """Implements `ServiceAdmin.set_weights`."""
        await self._ask({"do": "weights", "model": model, "weights": dict(weights)})

    async def set_shadow(self, model: str, shares: Mapping[str, float]) -> None:
        """Implements `ServiceAdmin.set_shadow`."""
        await self._ask({"do": "shadow", "model": model, "shadow": dict(shares)})

    async def roll(self, model: str, version: str) -> None:
        """Implements `ServiceAdmin.roll`."""
        await self._ask({"do": "roll", "model": model, "version": version})

    async def roll_back(self, model: str) -> None:
        """Implements `ServiceAdmin.roll_back`."""
        await self._ask({"do": "back", "model": model})

    async def drain(self) -> None:
        """Implements `ServiceAdmin.drain`."""
        await self._ask({"do": "drain"})
