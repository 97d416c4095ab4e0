"""Executors of a run: which are started when, and by which label."""

import pytest

from cnflow.dataflow import join_apps
from cnflow.dataflow.call_options import NO_OPTIONS, AppOptions
from cnflow.dataflow.executor_factory import NewExecutor
from cnflow.dataflow.live_executors import LiveExecutors
from cnflow.dataflow.router import RoutableExecutor
from cnflow.errors import ConfigurationError
from cnflow.model.image import NO_IMAGE, Image
from cnflow.model.task import AppFunction, AppKind

APP = AppFunction(abs)
JOIN_APP = AppFunction(abs, AppKind.JOIN)


class FakeExecutor:
    def __init__(self, label):
        self.label = label
        self.report = None

    def start(self, report):
        assert self.report is None, "started twice"
        self.report = report


class FakeFactory:
    """Settings are labels; the executor of a label with "template" in it is None."""

    def __init__(self):
        self.clones = []

    def make(self, label):
        is_template = "template" in label
        route = RoutableExecutor(label, NO_IMAGE, needs_image=is_template, can_clone=is_template)
        return NewExecutor(route, None if is_template else FakeExecutor(label))

    def clone(self, template, image, label, *, fresh=False):
        self.clones.append((template, image))
        return FakeExecutor(label)

    def make_joiner(self):
        return FakeExecutor(join_apps.LABEL)


class Settings(str):
    """A label that is its own settings."""

    __slots__ = ()

    @property
    def label(self):
        return str(self)


def report(outcomes):
    raise AssertionError("no task ends here")


@pytest.fixture
def factory():
    return FakeFactory()


@pytest.fixture
def live(factory):
    route, executor = factory.make("one")
    template, _ = factory.make("template")
    return LiveExecutors([executor], [route, template], factory, report, lambda note: None, ignore_images=False)


def test_configured_executors_are_started_with_the_run(live):
    assert live.by_label["one"].report is None
    live.start()
    assert {label: executor.report for label, executor in live.by_label.items()} == {"one": report}


def test_added_executor_is_started_and_takes_tasks(live):
    live.add(Settings("two"))
    assert live.by_label["two"].report is report
    assert {live.choose(APP, NO_OPTIONS) for _ in range(2)} == {"one", "two"}


def test_added_template_is_no_executor_until_it_is_cloned(live, factory):
    live.add(Settings("template-2"))
    assert list(live.by_label) == ["one"]
    label = live.choose(APP, AppOptions(image=Image("app:1"), executors="template-2"))
    assert live.by_label[label].report is report
    assert factory.clones == [("template-2", "app:1")]


def test_executor_of_an_image_is_cloned_once(live, factory):
    labels = {live.choose(APP, AppOptions(image=Image("app:1"))) for _ in range(3)}
    assert len(labels) == 1
    assert factory.clones == [("template", "app:1")]


def test_executor_for_join_apps_is_made_with_the_first_of_them(live):
    assert join_apps.LABEL not in live.by_label
    for _ in range(2):
        assert live.choose(JOIN_APP, NO_OPTIONS) == join_apps.LABEL
    assert live.by_label[join_apps.LABEL].report is report


@pytest.mark.parametrize("label", ["one", "template"])
def test_label_of_an_executor_or_a_template_is_taken(live, label):
    with pytest.raises(ConfigurationError, match=f"Two executors are labelled '{label}'"):
        live.add(Settings(label))


def test_label_that_names_of_blocks_cannot_tell_from_another_is_refused(live):
    live.add(Settings("a-b"))
    with pytest.raises(ConfigurationError, match="Two executors are labelled 'a-b' and 'a/b'"):
        live.add(Settings("a/b"))
