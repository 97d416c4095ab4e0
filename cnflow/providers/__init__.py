"""Where blocks come from. The names here are settings; their live halves are imported on use."""

from cnflow.config.providers import DockerProvider, LocalProvider, ProviderSettings

__all__ = ["DockerProvider", "LocalProvider", "ProviderSettings"]
