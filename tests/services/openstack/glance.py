"""Glance's part of the stand-in: images that tests add."""

from tests.services.openstack.refusal import Refusal


class Glance:
    """Images of a project."""

    def __init__(self):
        self.images = []
        self.add("Debian 12", created_at="2026-01-01T00:00:00Z")

    def add(self, name, *, created_at, status="active", min_disk=0, min_ram=0):
        """Add an image and return its id."""
        image = {
            "id": f"image-{len(self.images) + 1}",
            "name": name,
            "status": status,
            "min_disk": min_disk,
            "min_ram": min_ram,
            "created_at": created_at,
            "visibility": "public",
        }
        self.images.append(image)
        return image["id"]

    def handle(self, method, path, query, _body):
        """Status and answer of one request."""
        if (method, path) != ("GET", "/images"):
            raise Refusal(404, "The resource could not be found.")
        asked = dict(query)
        first = next((n + 1 for n, each in enumerate(self.images) if each["id"] == asked.get("marker")), 0)
        page = self.images[first : first + int(asked.get("limit", 25))]
        more = {"next": f"/v2/images?marker={page[-1]['id']}"} if page and page[-1] is not self.images[-1] else {}
        return 200, {"images": page, "first": "/v2/images", "schema": "/v2/schemas/images", **more}
