"""One image for a reference in a run, locked runs, and what is told and recorded."""

import logging
import threading

import pytest

from cnflow.config.image_lock import ImageLock, LockedImage, read_lock
from cnflow.errors import ImageLockError, ImageNotFoundError, ImagePullError
from cnflow.executors.image_pins import ImagePins
from cnflow.model.image import NO_IMAGE, Image
from cnflow.model.image_identity import ImageFacts, ImageIdentity

OLD, NEW = "sha256:" + "1" * 64, "sha256:" + "2" * 64
OLD_DIGEST, NEW_DIGEST = "r/app@sha256:" + "a" * 64, "r/app@sha256:" + "b" * 64


class Engine:
    """An engine and its registry: images by every name that finds them."""

    def __init__(self, **tags):
        self.names = {tag.replace("_", ":"): ImageIdentity(*image) for tag, image in tags.items()}
        self.registry = {}
        self.asked = []

    def prepare(self, image):
        self.asked.append((image.reference, image.pull))
        by_id = {str(identity): identity for identity in self.names.values()}
        found = self.names.get(image.reference) or by_id.get(image.reference)
        if found is None and image.pull != "never":
            found = self.registry.get(image.reference)
        if found is None:
            raise ImageNotFoundError(f"Image {image.reference!r} was not found.")
        self.names.setdefault(image.reference, found)
        return found


def old():
    return OLD, ImageFacts(OLD_DIGEST, "linux/amd64")


def new():
    return NEW, ImageFacts(NEW_DIGEST, "linux/amd64")


LOCK = ImageLock([LockedImage("app:1", OLD, OLD_DIGEST, locked="2026-01-31T12:00:00Z")])


def test_a_tag_that_moves_in_a_run_stays_what_it_was():
    engine, pins = Engine(app_1=old()), ImagePins()
    _, first = pins.resolve(Image("app:1"), engine.prepare)
    engine.names = {"app:1": ImageIdentity(*new()), "other": ImageIdentity(*old())}
    used, second = pins.resolve(Image("app:1", memory="1g"), engine.prepare)
    assert (str(first), str(second), used.reference) == (OLD, OLD, OLD)
    assert used.memory == 2**30
    assert used.name == "app:1", "errors say what the user wrote"
    assert second.facts.digest == OLD_DIGEST


def test_another_engine_without_that_id_gets_the_digest():
    one, other, pins = Engine(app_1=old()), Engine(), ImagePins()
    other.registry = {OLD_DIGEST: ImageIdentity(*old()), "app:1": ImageIdentity(*new())}
    pins.resolve(Image("app:1"), one.prepare)
    used, found = pins.resolve(Image("app:1"), other.prepare)
    assert (used.reference, str(found)) == (OLD_DIGEST, OLD)
    assert other.asked == [(OLD, "never"), (OLD_DIGEST, "missing")]


def test_another_engine_that_cannot_have_the_image_is_an_error_and_not_another_image():
    local = Engine(app_1=(OLD, ImageFacts()))
    other, pins = Engine(app_1=new()), ImagePins()
    pins.resolve(Image("app:1"), local.prepare)
    with pytest.raises(ImageLockError, match="was never in a registry"):
        pins.resolve(Image("app:1"), other.prepare)


def test_executors_wait_for_the_first_that_asks():
    engine, pins, began, go = Engine(app_1=old()), ImagePins(), threading.Event(), threading.Event()

    def slow(image):
        began.set()
        go.wait(10)
        return engine.prepare(image)

    found = []
    first = threading.Thread(target=lambda: found.append(pins.resolve(Image("app:1"), slow)))
    first.start()
    assert began.wait(10)
    second = threading.Thread(target=lambda: found.append(pins.resolve(Image("app:1"), engine.prepare)))
    second.start()
    second.join(0.05)
    assert second.is_alive()
    go.set()
    first.join(10)
    second.join(10)
    assert [used.reference for used, _ in found] == ["app:1", OLD]


def test_a_failure_is_not_kept():
    engine, pins = Engine(), ImagePins()
    with pytest.raises(ImageNotFoundError):
        pins.resolve(Image("app:1"), engine.prepare)
    engine.names = {"app:1": ImageIdentity(*old())}
    assert pins.resolve(Image("app:1"), engine.prepare)[1] == OLD


def test_a_tag_that_has_moved_since_the_lock_is_told_in_one_line_and_runs(caplog):
    engine, pins = Engine(app_1=new()), ImagePins(None, LOCK, "cnflow.lock")
    with caplog.at_level(logging.WARNING):
        _, found = pins.resolve(Image("app:1"), engine.prepare)
    assert found == NEW
    (line,) = caplog.messages
    assert line.startswith(f"image app:1 has moved since cnflow.lock was written: locked is {OLD_DIGEST} (2026-01-31")
    assert f"{NEW_DIGEST} runs" in line
    assert "\n" not in line


def test_an_image_as_locked_or_not_listed_is_not_told(caplog):
    engine, pins = Engine(app_1=old(), other_1=new()), ImagePins(None, LOCK, "cnflow.lock")
    with caplog.at_level(logging.WARNING):
        pins.resolve(Image("app:1"), engine.prepare)
        pins.resolve(Image("other:1"), engine.prepare)
    assert caplog.messages == []


def test_a_locked_run_has_the_locked_image_though_the_tag_has_moved():
    engine, pins = Engine(app_1=new(), kept=old()), ImagePins(None, LOCK, "cnflow.lock", is_locked=True)
    used, found = pins.resolve(Image("app:1"), engine.prepare)
    assert (used.reference, str(found)) == (OLD, OLD)


def test_a_locked_run_pulls_by_digest():
    engine, pins = Engine(app_1=new()), ImagePins(None, LOCK, "cnflow.lock", is_locked=True)
    engine.registry = {OLD_DIGEST: ImageIdentity(*old())}
    used, found = pins.resolve(Image("app:1"), engine.prepare)
    assert (used.reference, str(found)) == (OLD_DIGEST, OLD)


def test_a_locked_image_that_cannot_be_had_is_refused_with_the_engines_words():
    engine, pins = Engine(app_1=new()), ImagePins(None, LOCK, "cnflow.lock", is_locked=True)
    with pytest.raises(
        ImageLockError, match=f"Image 'app:1' is {OLD_DIGEST} by cnflow.lock, which cannot be had"
    ) as caught:
        pins.resolve(Image("app:1"), engine.prepare)
    assert "was not found" in str(caught.value)


def test_a_pull_that_fails_in_a_locked_run_keeps_its_words():
    def prepare(image):
        if image.pull == "never":
            raise ImageNotFoundError("not here")
        raise ImagePullError("the registry r limits how often it is asked")

    with pytest.raises(ImageLockError, match="limits how often it is asked"):
        ImagePins(None, LOCK, "cnflow.lock", is_locked=True).resolve(Image("app:1"), prepare)


def test_an_image_that_is_not_in_the_lock_is_refused_in_a_locked_run():
    engine, pins = Engine(app_2=new()), ImagePins(None, LOCK, "cnflow.lock", is_locked=True)
    with pytest.raises(ImageLockError, match="Image 'app:2' is not in") as caught:
        pins.resolve(Image("app:2"), engine.prepare)
    assert "Did you mean 'app:1'?" in str(caught.value)
    assert str(caught.value).endswith("Run: cnflow lock app:2")
    assert engine.asked == []


def test_an_image_with_a_recipe_that_is_not_in_the_lock_names_what_can_lock_it():
    image, pins = Image("app:1").run("make"), ImagePins(None, LOCK, "cnflow.lock", is_locked=True)
    with pytest.raises(ImageLockError, match="Run: cnflow lock --config FILE"):
        pins.resolve(image, lambda _: ImageIdentity(*new()))


def test_a_reference_by_digest_needs_no_lock():
    engine, pins = Engine(), ImagePins(None, LOCK, "cnflow.lock", is_locked=True)
    engine.registry = {NEW_DIGEST: ImageIdentity(*new())}
    assert pins.resolve(Image(NEW_DIGEST), engine.prepare)[1] == NEW


def test_the_bare_node_is_left_alone():
    used, found = ImagePins(None, LOCK, "cnflow.lock", is_locked=True).resolve(NO_IMAGE, lambda _: "")
    assert (used, found) == (NO_IMAGE, "")


def test_a_provider_that_returns_a_plain_text_is_enough():
    _, found = ImagePins().resolve(Image("app:1"), lambda _: OLD)
    assert (found, found.facts) == (OLD, ImageFacts())


def test_what_ran_is_recorded_as_a_lock(tmp_path):
    record = tmp_path / "images.lock"
    engine, pins = Engine(app_1=old(), other_1=new()), ImagePins(record)
    pins.resolve(Image("app:1"), engine.prepare)
    pins.resolve(Image("other:1"), engine.prepare)
    lock = read_lock(record)
    assert [(image.reference, image.id, image.digest) for image in lock.images] == [
        ("app:1", OLD, OLD_DIGEST),
        ("other:1", NEW, NEW_DIGEST),
    ]
    again = ImagePins(None, lock, "images.lock", is_locked=True)
    assert again.resolve(Image("app:1"), engine.prepare)[1] == OLD


def test_a_record_that_cannot_be_written_is_told_and_ends_nothing(tmp_path, caplog):
    pins = ImagePins(tmp_path / "none" / "images.lock")
    assert pins.resolve(Image("app:1"), Engine(app_1=old()).prepare)[1] == OLD
    assert "the images of this run are not recorded" in caplog.text
