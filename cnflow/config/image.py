"""The option `image` of settings: an `Image` in Python; its reference or a table in a configuration file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, overload

from pydantic import BeforeValidator, InstanceOf, PlainSerializer, WithJsonSchema

from cnflow.model.image import NO_IMAGE, Image
from cnflow.model.image_parts import Credentials, Mount, Secret

if TYPE_CHECKING:
    from cnflow.model.image import ImageLike

__all__ = ["AnyImage", "Credentials", "Image", "Mount", "Secret"]


def table_of(image: Image) -> str | dict[str, Any]:
    """The reverse of `Image.of`.

    Raises:
        ConfigurationError: a secret needs Python.
    """
    return image.plain()


if TYPE_CHECKING:

    class AnyImage:
        """Type of an option that is an image: it is set to what `Image.of` takes, and it is an `Image`.

        As a descriptor, so that type checkers accept a name where the option is set.
        """

        @overload
        def __get__(self, settings: None, owner: type) -> AnyImage: ...
        @overload
        def __get__(self, settings: object, owner: type) -> Image: ...
        def __get__(self, settings: object, owner: type) -> object: ...
        def __set__(self, settings: object, value: ImageLike) -> None: ...

else:
    AnyImage = Annotated[
        InstanceOf[Image],
        BeforeValidator(Image.of),
        PlainSerializer(table_of, when_used="json"),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object"}]}),
    ]

IMAGE_DEFAULT: Any = NO_IMAGE
"""Default of such an option, of no type for the checkers: they compare a default with the descriptor."""
