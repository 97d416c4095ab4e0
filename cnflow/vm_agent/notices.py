"""Watches the metadata service of a cloud for the notice that it takes the machine back.

::

    ec2     PUT /latest/api/token, GET /latest/meta-data/spot/instance-action, every 5 s     two minutes ahead
    google  GET /computeMetadata/v1/instance/preempted?wait_for_change=true                  30 seconds ahead
    azure   GET /metadata/scheduledevents, every 5 s                                         30 seconds ahead
        └── Notice(words, seconds left), once

The clock of the machine may be wrong: only differences of the service's own times count. Answers are parsed by pure
functions; the loops ask until there is a notice.
"""

from __future__ import annotations

import email.utils
import json
import os
import time
import urllib.error
import urllib.request
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NamedTuple, Optional

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Watch = Callable[[], Optional["Notice"]]

_ADDRESS = "http://169.254.169.254"
_PERIOD = 5.0
"""Seconds, as recommended: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html"""

_PAUSE = 30.0
"""Seconds until a service that does not answer is asked again."""

_LONGEST = 65536
_TOKEN_LIFE = 21600
_POLL = 300
"""Seconds for which Google's service may hold an answer back."""

EC2_NOTICE, GOOGLE_NOTICE, AZURE_NOTICE = 120.0, 30.0, 30.0
"""Seconds that the clouds promise."""


class Notice(NamedTuple):
    """The cloud's announcement of the machine's end."""

    words: str
    left: float
    """Seconds until the end, at least as the cloud promises it."""


class Answer(NamedTuple):
    """Answer of a metadata service."""

    status: int
    body: str
    date: str = ""
    """Time of the service's clock, as in HTTP; empty if it gave none."""

    tag: str = ""


def parse_ec2(answer: Answer) -> Optional[Notice]:
    """Return the notice in the answer to ``spot/instance-action``; None without one."""
    if answer.status != 200:  # noqa: PLR2004 - 404 until there is one
        return None
    try:
        found = json.loads(answer.body)
        action, at = str(found["action"]), str(found["time"])
    except (ValueError, KeyError, TypeError):
        return None
    words = f"EC2 gives notice of the action {action!r} on this spot instance at {at}"
    return Notice(words, _until(at, answer.date, EC2_NOTICE))


def parse_google(answer: Answer) -> Optional[Notice]:
    """Return the notice in the answer to ``instance/preempted``; None without one."""
    if answer.status == 200 and answer.body.strip() == "TRUE":  # noqa: PLR2004 - all is well
        return Notice("Compute Engine preempts this machine", GOOGLE_NOTICE)
    return None


def parse_azure(answer: Answer) -> Optional[Notice]:
    """Return the notice in the answer to ``scheduledevents``; None without one."""
    try:
        events = json.loads(answer.body)["Events"]
        kinds = [str(each["EventType"]) for each in events]
    except (ValueError, KeyError, TypeError):
        return None
    kind = next((each for each in kinds if each in {"Preempt", "Terminate"}), "")
    return Notice(f"Azure gives notice of the event {kind!r}", AZURE_NOTICE) if kind else None


def _until(at: str, date: str, promised: float) -> float:
    """Return the seconds from *date* to *at*, by the cloud's clock; if unknown, those *promised*, less two polls."""
    try:
        end = datetime.strptime(at, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
        left = (end - email.utils.parsedate_to_datetime(date)).total_seconds()
    except (ValueError, TypeError):
        return promised - 2 * _PERIOD
    return min(promised, max(0.0, left))


def fetch(url: str, headers: Mapping[str, str], *, method: str = "GET", timeout: float = 5.0) -> Answer:
    """Ask a metadata service; proxies are not asked.

    Raises:
        OSError: it does not answer.
    """
    request = urllib.request.Request(url, headers=dict(headers), method=method)  # noqa: S310 - addresses of this module
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout) as answer:
            head = answer.headers
            return Answer(
                answer.status, answer.read(65536).decode(errors="replace"), head["Date"] or "", head["ETag"] or ""
            )
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, "", error.headers["Date"] or "")


def ec2_watch(environment: Mapping[str, str]) -> Watch:
    """Return the look at EC2's service, of IMDSv2."""
    base = environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", _ADDRESS).rstrip("/")
    token = ""

    def look() -> Optional[Notice]:
        nonlocal token
        if not token:
            life = {"X-aws-ec2-metadata-token-ttl-seconds": str(_TOKEN_LIFE)}
            token = fetch(f"{base}/latest/api/token", life, method="PUT").body
        answer = fetch(f"{base}/latest/meta-data/spot/instance-action", {"X-aws-ec2-metadata-token": token})
        if answer.status == 401:  # noqa: PLR2004 - the token is too old
            token = ""
        return parse_ec2(answer)

    return look


def google_watch(environment: Mapping[str, str]) -> Watch:
    """Return the look at Google's service, which answers when something changes."""
    host = environment.get("GCE_METADATA_HOST", "169.254.169.254")
    url = f"http://{host}/computeMetadata/v1/instance/preempted"
    headers = {"Metadata-Flavor": "Google"}
    tag = ""

    def look() -> Optional[Notice]:
        nonlocal tag
        # The first look returns at once: the notice may have come before the agent.
        wait = f"?wait_for_change=true&timeout_sec={_POLL}&last_etag={tag}" if tag else ""
        answer = fetch(url + wait, headers, timeout=_POLL + 30 if tag else 5)
        tag = answer.tag
        return parse_google(answer)

    return look


def azure_watch(environment: Mapping[str, str]) -> Watch:
    """Return the look at Azure's service."""
    base = environment.get("AZURE_METADATA_ENDPOINT", _ADDRESS).rstrip("/")
    url = f"{base}/metadata/scheduledevents?api-version=2020-07-01"
    return lambda: parse_azure(fetch(url, {"Metadata": "true"}, timeout=120.0))  # its first answer takes two minutes


WATCHES: Mapping[str, Callable[[Mapping[str, str]], Watch]] = {
    "ec2": ec2_watch,
    "google": google_watch,
    "azure": azure_watch,
}


def watch(service: str, tell: Callable[[Notice], None], period: float = _PERIOD) -> None:
    """Ask *service* until it gives notice, call *tell* with that, and return; for a thread of its own."""
    look = WATCHES[service](os.environ)
    is_warned = False
    while True:
        pause = period
        try:
            notice = look()
        except OSError as error:
            if not is_warned:
                print(f"cnflow: the metadata service gives no notices, and is asked again: {error}", flush=True)
            is_warned, notice, pause = True, None, _PAUSE
        if notice is not None:
            tell(notice)
            return
        time.sleep(pause)
