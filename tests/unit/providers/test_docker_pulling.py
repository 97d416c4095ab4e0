"""Causes of pulls that fail, and waits between pulls."""

import pytest

from cnflow.errors import ImageNotFoundError, ImagePullError
from cnflow.images.pull_causes import Cause, cause_of
from cnflow.images.references import registry_of
from cnflow.providers.docker.pulling import Patience, Pull, error_of, retry_after

_SEEN = [
    ("toomanyrequests: You have reached your pull rate limit.", Cause.RATE_LIMIT),
    ("received unexpected HTTP status: 429 Too Many Requests", Cause.RATE_LIMIT),
    ('Head "http://r/v2/app/manifests/1": no basic auth credentials', Cause.UNAUTHORISED),
    ("unauthorized: authentication required", Cause.UNAUTHORISED),
    ("pull access denied for app, repository does not exist or may require 'docker login': denied", Cause.UNAUTHORISED),
    ("manifest for app:1 not found: manifest unknown: manifest unknown", Cause.ABSENT),
    ('Get "https://r/v2/": dial tcp: lookup r on 10.0.0.2:53: no such host', Cause.UNKNOWN_HOST),
    ('Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused', Cause.UNREACHABLE),
    ("net/http: request canceled while waiting for connection (Client.Timeout exceeded)", Cause.UNREACHABLE),
    ("received unexpected HTTP status: 503 Service Unavailable", Cause.UNAVAILABLE),
    ("tls: failed to verify certificate: x509: certificate signed by unknown authority", Cause.UNTRUSTED),
    ("filesystem layer verification failed for digest sha256:00", Cause.DAMAGED),
    ("Digest did not match, expected sha256:1, got sha256:2", Cause.DAMAGED),
    ("no matching manifest for linux/amd64 in the manifest list entries", Cause.PLATFORM),
    ("choosing image instance: no image found in manifest list for architecture amd64", Cause.PLATFORM),
    ("write /var/lib/docker/tmp/GetImageBlob1: no space left on device", Cause.DISK_FULL),
    ("something new", Cause.OTHER),
]


@pytest.mark.parametrize(("words", "cause"), _SEEN)
def test_the_words_of_engines_have_causes(words, cause):
    assert cause_of(words, "app:1") is cause


def test_the_name_of_an_image_is_no_cause():
    words = "manifest for r.example/certificate-timeout:429 not found: manifest unknown"
    assert cause_of(words, "r.example/certificate-timeout:429") is Cause.ABSENT
    assert cause_of("denied: r.example/rate limit: unauthorized", "r.example/rate limit:1") is Cause.UNAUTHORISED


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("toomanyrequests: retry-after: 432.56µs, allowed: 44000/minute", 432.56e-6),
        ("Retry-After: 7", 7.0),
        ("retry after 2m", 120.0),
        ("toomanyrequests: slow down", None),
    ],
)
def test_the_wait_that_a_registry_asks_for_is_read_from_its_words(words, seconds):
    assert retry_after(words) == (None if seconds is None else pytest.approx(seconds))


def test_patience_with_a_limit_doubles_its_waits_and_ends():
    patience = Patience()
    waits = [patience.next_wait(Cause.RATE_LIMIT, "toomanyrequests") for _ in range(5)]
    assert waits == [2.0, 4.0, 8.0, 16.0, None]


def test_patience_follows_the_registry_within_a_minute():
    patience = Patience()
    assert patience.next_wait(Cause.RATE_LIMIT, "retry-after: 20s") == 20.0
    assert patience.next_wait(Cause.RATE_LIMIT, "retry-after: 1ns") == 0.1
    assert patience.next_wait(Cause.RATE_LIMIT, "retry-after: 2h") is None


@pytest.mark.parametrize("cause", [Cause.ABSENT, Cause.UNAUTHORISED, Cause.DAMAGED, Cause.UNKNOWN_HOST, Cause.OTHER])
def test_what_does_not_pass_is_not_tried_again(cause):
    assert Patience().next_wait(cause, "") is None


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("app1:0.1", "docker.io"),
        ("user/app1", "docker.io"),
        ("localhost/app", "localhost"),
        ("127.0.0.1:5000/a/b:1", "127.0.0.1:5000"),
        ("ghcr.io/a/b@sha256:00", "ghcr.io"),
    ],
)
def test_the_registry_of_an_image_is_its_first_part(image, registry):
    assert registry_of(image) == registry


@pytest.mark.parametrize(("words", "cause"), _SEEN)
def test_each_error_has_image_words_and_advice(words, cause):
    error = error_of(Pull("r.example/app:1"), words, [])
    assert "Image 'r.example/app:1' " in str(error)
    assert f"Pulling it failed: {words}\n" in str(error)
    not_found = {Cause.ABSENT, Cause.UNKNOWN_HOST, Cause.OTHER}
    assert type(error) is (ImageNotFoundError if cause in not_found else ImagePullError)


def test_the_nearest_local_name_is_offered():
    error = error_of(Pull("app1:0.2"), "pull access denied for app1", ["app1:0.1", "base:1"])
    assert "Did you mean 'app1:0.1'?" in str(error)
