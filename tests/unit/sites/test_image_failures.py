"""An image that could not come to a site: the class of the error, what happened, and what to do."""

import pytest

from cnflow.errors import ChannelError, ImageNotFoundError, ImagePullError, ImageUnusableError
from cnflow.sites.image_failures import error_of, is_for_the_driver
from cnflow.sites.image_transfer import BringError

NO_SPACE = "tar: usr/lib/x: Cannot write: No space left on device"
QUOTA = "cat: write error: Disk quota exceeded"
UNREACHED = "FATAL: dial tcp 10.0.0.1:443: i/o timeout"
UNKNOWN = "FATAL: manifest unknown: manifest unknown"
ARCHITECTURE = "FATAL: the image's architecture (arm64) could not run on the host's (amd64)"


@pytest.mark.parametrize(
    ("error", "cls", "words", "advice"),
    [
        (
            BringError("space", "/scratch 1048576 4294967296", ""),
            ImageUnusableError,
            "has 1 GiB free, and 8 GiB are needed",
            "image_cache_dir",
        ),
        (BringError("unpack", "", NO_SPACE), ImageUnusableError, "no space is left", "image_cache_dir="),
        (
            BringError("cut", "", QUOTA),
            ImageUnusableError,
            "the quota of its file system is used up",
            "image_cache_dir=",
        ),
        (BringError("make", "", NO_SPACE), ImageUnusableError, "no space is left", "image_cache_dir="),
        (
            BringError("folder", "/x", "mkdir: Permission denied"),
            ImageUnusableError,
            "/x cannot be written",
            "may write",
        ),
        (BringError("cut", "", ""), ChannelError, "the connection ended", "next block"),
        (BringError("lost", "", ""), ChannelError, "the connection ended", "next block"),
        (BringError("make", "", UNREACHED), ImagePullError, "was not reached", "docker pull"),
        (BringError("make", "", UNKNOWN), ImageNotFoundError, "has no image of this name", "Build it"),
        (BringError("make", "", ARCHITECTURE), ImageUnusableError, "another architecture", "Build it for that one"),
        (BringError("make", "", "gzip: invalid header: corrupt input"), ImageUnusableError, "is damaged", "again"),
        (BringError("make", "", "something odd"), ImageUnusableError, "something odd", ""),
        (BringError("no-sif", "", ""), ImageUnusableError, "is no SIF", "apptainer run"),
    ],
)
def test_error_names_image_site_cause_and_next_step(error, cls, words, advice):
    made = error_of(error, "host:5000/app:1", "login.site.org", "/home/me/.cnflow/images")
    assert type(made) is cls
    text = str(made)
    assert text.startswith("Image 'host:5000/app:1' cannot be brought to login.site.org: ")
    assert words in text
    assert advice in text


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (BringError("make", "", UNREACHED), True),
        (BringError("make", "", "UNAUTHORIZED: authentication required"), True),
        (BringError("make", "", "ModuleNotFoundError: No module named 'lark'"), True),
        (BringError("make", "", UNKNOWN), False),
        (BringError("make", "", NO_SPACE), False),
        (BringError("space", "/scratch 1 2", ""), False),
    ],
)
def test_driver_tries_what_may_be_the_sites_trouble_alone(error, tries):
    assert is_for_the_driver(error, "host:5000/app:1") is tries
