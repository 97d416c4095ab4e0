"""The lock file: its text, its look-ups, and what is wrong with one that cannot be read."""

import pytest

from cnflow.config.image_lock import ImageLock, LockedImage, parse_lock, read_lock, write_lock
from cnflow.errors import ConfigurationError
from cnflow.model.image_identity import ImageFacts, ImageIdentity, is_by_digest

HASH = "sha256:" + "a" * 64
APP = LockedImage("r:5000/app:1", HASH, f"r:5000/app@{HASH}", "linux/amd64", "3.11.2", "0123", "2026-01-31T12:00:00Z")
LOCAL = LockedImage("app1:0.1", "sha256:" + "b" * 64, platform="linux/amd64")


def test_a_lock_is_read_as_it_was_written_sorted_by_reference():
    lock = ImageLock([APP, LOCAL])
    text = lock.to_toml()
    assert parse_lock(text).images == (LOCAL, APP)
    assert text.startswith("# Images by their content.")
    assert text.index("app1:0.1") < text.index("r:5000/app:1")
    assert 'digest = ""' not in text


def test_the_last_entry_for_a_reference_and_a_platform_counts():
    arm = LockedImage("app1:0.1", "sha256:c", platform="linux/arm64")
    newer = LockedImage("app1:0.1", "sha256:d", platform="linux/amd64")
    assert ImageLock([LOCAL, arm, newer]).images == (newer, arm)


@pytest.mark.parametrize(
    ("platform", "found"), [("amd64", "sha256:1"), ("arm64", "sha256:2"), ("linux/arm64", "sha256:2")]
)
def test_of_several_platforms_the_wanted_one_is_found(platform, found):
    lock = ImageLock(
        [
            LockedImage("app", "sha256:1", platform="linux/amd64"),
            LockedImage("app", "sha256:2", platform="linux/arm64/v8"),
        ]
    )
    assert lock.find("app", platform).id == found
    assert lock.find("other", platform) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("version = ", "it is no TOML"),
        ("version = 2", "its version is 2, and this cnflow reads 1"),
        ("version = 1\nimages = 3", "images must be tables"),
        ("version = 1\n[[images]]\nreference = 'a'", r"images\[0\] needs a reference, and an id or a digest"),
        ("version = 1\n[[images]]\nreference = 1", r"images\[0\] is no table of texts"),
    ],
)
def test_a_file_that_is_no_lock_is_refused_with_its_name(tmp_path, text, words):
    file = tmp_path / "cnflow.lock"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=f"cnflow.lock: {words}"):
        read_lock(file)


def test_a_missing_file_is_no_lock(tmp_path):
    assert read_lock(tmp_path / "cnflow.lock") is None


def test_a_lock_is_written_whole(tmp_path):
    file = tmp_path / "cnflow.lock"
    write_lock(file, ImageLock([APP]))
    assert read_lock(file).images == (APP,)
    assert [path.name for path in tmp_path.iterdir()] == ["cnflow.lock"]
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_lock(tmp_path / "none" / "cnflow.lock", ImageLock())


def test_an_identity_is_a_text_with_what_is_known():
    facts = ImageFacts(f"r/app@{HASH}", "linux/amd64", "3.11.2", "0123")
    identity = ImageIdentity("sha256:1", facts)
    assert identity == "sha256:1"
    assert ImageIdentity(identity).facts == facts
    assert ImageIdentity("sha256:1").facts == ImageFacts()


@pytest.mark.parametrize(
    ("identity", "digest", "same"),
    [
        ("sha256:1", "", True),
        ("sha256:2", "", False),
        ("sha256:2", f"other/name@{HASH}", True),
        ("", "", False),
    ],
)
def test_an_image_is_the_same_by_its_id_or_by_its_digest_whatever_its_repository(identity, digest, same):
    assert ImageIdentity("sha256:1", ImageFacts(f"r/app@{HASH}")).is_same_image(identity, digest) is same


def test_a_reference_by_digest_is_told_from_a_tag():
    assert is_by_digest(f"r:5000/app@{HASH}")
    assert is_by_digest(f"app:1@{HASH}")
    assert not is_by_digest("app:1")
    assert not is_by_digest("app@sha256:12")
