"""Live half of `ToyProvider`."""

from cnflow.providers.local.provider import LocalBackend
from toy_backends.settings import ToyProvider


class ToyProviderBackend(LocalBackend):
    """A `LocalBackend` with settings of another kind.

    Args:
        settings: what the user wrote.
        **options: those of `LocalBackend`.
    """

    def __init__(self, settings: ToyProvider, **options: object) -> None:
        super().__init__(settings.inner(), **options)
