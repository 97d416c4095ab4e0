"""Live half of `ToyProvider`."""

from collections.abc import Mapping

from cnflow.providers.local.provider import LocalBackend
from toy_backends.settings import ToyProvider


class ToyProviderBackend(LocalBackend):
    """A `LocalBackend` with settings of another kind.

    Args:
        settings: made by the user.
        environment: further variables for the blocks.
    """

    def __init__(self, settings: ToyProvider, environment: Mapping[str, str] = {}) -> None:
        inner = settings.inner()
        super().__init__(inner.model_copy(update={"environment": {**inner.environment, **environment}}))
