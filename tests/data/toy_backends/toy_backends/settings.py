"""Settings that the user writes; they import no live half."""

from typing import ClassVar, Literal

from cnflow.config import ExecutorSettings, ProviderSettings
from cnflow.config.providers import LocalProvider
from cnflow.model.traits import Traits


class ToyProvider(ProviderSettings):
    """Blocks of plain processes, which greet by a variable of their environment."""

    backend: ClassVar[str] = "toy_backends.provider:ToyProviderBackend"
    kind: Literal["toy"] = "toy"
    greeting: str = "hello"
    """Value of TOY_GREETING where tasks run."""

    def traits(self) -> Traits:
        """Traits of processes on this machine."""
        return self.inner().traits()

    def inner(self) -> LocalProvider:
        """Settings of the provider that starts the processes."""
        return LocalProvider(environment={"TOY_GREETING": self.greeting})


class ToySerialExecutor(ExecutorSettings):
    """Runs each task at once, in the thread that submits it."""

    backend: ClassVar[str] = "toy_backends.executor:ToySerialBackend"
    kind: Literal["toy_serial"] = "toy_serial"
    label: str = "toy_serial"
