"""The image of machines: found before the first is started, so that a wrong name is an error at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.errors import BlockRejectedError
from cnflow.providers.google.errors import CallFailedError, error_for, is_absent
from cnflow.providers.google.requests import image_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.config.google_cloud import GoogleCloudProvider
    from cnflow.providers.google.client import ComputeClient

_SHORTEST_PATH = 5  # projects/PROJECT/global/images/NAME


def find_image(client: ComputeClient, settings: GoogleCloudProvider) -> Mapping[str, Any]:
    """Return the image that machines get; nothing where an instance template has it.

    Raises:
        BlockRejectedError: it does not exist, or the credentials may not use it.
        BlockError: Compute Engine does not answer.
    """
    if settings.instance_template and not {"machine_image", "image_family"} & settings.model_fields_set:
        return {}
    path = image_url(settings)
    parts = path.split("/")
    if len(parts) < _SHORTEST_PATH or "projects" not in parts or parts[-2] not in {"images", "family"}:
        raise BlockRejectedError(
            f"machine_image={path!r} is no image: write its name, or projects/PROJECT/global/images/NAME."
        )
    project, name = parts[parts.index("projects") + 1], parts[-1]
    method, field = ("get_from_family", "family") if parts[-2] == "family" else ("get", "image")
    try:
        return client.call(f"find the image {path}", "ImagesClient", method, project=project, **{field: name})
    except CallFailedError as error:
        if is_absent(error.failure):
            raise BlockRejectedError(
                f"Compute Engine has no image {path}: {error.failure.message} Images are listed by: "
                f"gcloud compute images list --project {project}"
            ) from error
        raise error_for(error.failure, f"find the image {path}") from error
