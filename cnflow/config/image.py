"""The option `image` of settings: an `Image` in Python; its reference or a table in a configuration file."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, InstanceOf, PlainSerializer, WithJsonSchema

from cnflow.model.image import Image
from cnflow.model.image_parts import Credentials, Mount, Secret

__all__ = ["AnyImage", "Credentials", "Image", "Mount", "Secret"]


def table_of(image: Image) -> str | dict[str, Any]:
    """The reverse of `Image.of`.

    Raises:
        ConfigurationError: a secret needs Python.
    """
    return image.plain()


AnyImage = Annotated[
    InstanceOf[Image],
    BeforeValidator(Image.of),
    PlainSerializer(table_of, when_used="json"),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object"}]}),
]
"""Type of an option that is an image."""
