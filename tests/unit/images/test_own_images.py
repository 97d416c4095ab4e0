"""Which images are cnflow's own, and which of them may go."""

import pytest

from cnflow.images.own_images import OwnImage, choose_to_remove, is_own, own_images

HASH = "0123456789abcdef01234567"


def image(**changes):
    values = {"id": "sha256:1", "names": [f"cnflow/x:{HASH[:20]}"], "recipe": HASH, "size": 1, "created": 100.0}
    return OwnImage(**{**values, **changes})


@pytest.mark.parametrize(
    ("name", "own"),
    [
        (f"cnflow/x:{HASH[:20]}", True),
        (f"localhost/cnflow/x:{HASH[:20]}", True),
        ("cnflow/x:latest", False),
        (f"mine/x:{HASH[:20]}", False),
        ("cnflow-base:3.11", False),
    ],
)
def test_own_name_has_the_hash_of_its_label(name, own):
    assert is_own(name, HASH) is own


def test_image_that_inherits_the_label_is_not_own():
    assert own_images([image(names=["mine:1"])]) == []


def test_image_in_use_or_too_young_is_kept():
    old, young, used = image(), image(created=900.0), image(users=["container-1"])
    assert choose_to_remove([old, young, used], now=1000.0, older_than=200.0) == [old]
    assert choose_to_remove([old, young, used], now=1000.0) == [young, old]
