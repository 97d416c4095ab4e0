"""Refusals of a stand-in's services, in the forms of nova and neutron."""

_NAMES = {
    400: "badRequest",
    401: "error",
    403: "forbidden",
    404: "itemNotFound",
    409: "conflictingRequest",
    413: "overLimit",
    429: "overLimit",
    500: "computeFault",
    503: "serviceUnavailable",
}


class Refusal(Exception):  # noqa: N818 - what it stands for
    """A request is refused with *status* and *words*."""

    def __init__(self, status, words):
        self.status, self.words = status, words
        super().__init__(words)

    def body(self, path):
        """What is sent."""
        if path.startswith("/network"):
            return {"NeutronError": {"type": "Refused", "message": self.words, "detail": ""}}
        return {_NAMES.get(self.status, "computeFault"): {"code": self.status, "message": self.words}}


def paged(entries, query, key, limit=1000):
    """A page of *entries* as nova and neutron send it."""
    asked = dict(query)
    marker, size = asked.get("marker"), min(int(asked.get("limit", limit)), limit)
    ids = [each["id"] for each in entries]
    if marker is not None and marker not in ids:
        raise Refusal(400, f"marker [{marker}] not found")
    first = ids.index(marker) + 1 if marker is not None else 0
    page = entries[first : first + size]
    links = [{"rel": "next", "href": "..."}] if len(page) == size and first + size < len(entries) else []
    return {key: page, **({f"{key}_links": links} if links else {})}


def chosen(entries, query, known):
    """Those of *entries* that the filters in *query* let through; an unknown filter is refused."""
    for name, value in query:
        if name in {"limit", "marker"}:
            continue
        if name not in known:
            raise Refusal(400, f"Additional properties are not allowed ({name!r} was unexpected)")
        entries = [each for each in entries if str(each.get(name)) == value]
    return entries
