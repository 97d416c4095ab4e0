"""Package of the user's, with relative imports."""

from .core import scale

__all__ = ["scale"]
