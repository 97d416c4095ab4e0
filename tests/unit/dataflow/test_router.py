import threading

import pytest

from cnflow.dataflow.router import RoutableExecutor, Router
from cnflow.errors import ConfigurationError, UnknownNameError

THREADS = RoutableExecutor("threads", "", needs_image=False, can_clone=False)
LOCAL = RoutableExecutor("local", "", needs_image=False, can_clone=True)
TEMPLATE = RoutableExecutor("docker", "", needs_image=True, can_clone=True)
APP1 = RoutableExecutor("one", "app1:0.1", needs_image=True, can_clone=True)


def router(*places, ignore_images=False):
    made = []
    return Router(places, lambda *cloned: made.append(cloned), threading.RLock(), ignore_images=ignore_images), made


def test_task_with_image_goes_to_the_executor_of_that_image():
    assert router(THREADS, APP1)[0].route("app1:0.1", "all") == "one"


def test_executor_is_cloned_from_the_first_template_once_for_each_image():
    routes, made = router(LOCAL, TEMPLATE, APP1)
    labels = [routes.route("app/2:0.1", "all") for _ in range(3)]
    assert labels == ["docker-app-2-0.1"] * 3
    assert made == [("docker", "app/2:0.1", "docker-app-2-0.1")]


def test_label_of_a_template_selects_the_executor_cloned_from_it():
    routes, made = router(TEMPLATE)
    assert routes.route("app1:0.1", "all") == routes.route("app1:0.1", "docker") == routes.route("app1:0.1", ["docker"])
    assert len(made) == 1


def test_images_with_similar_names_get_different_labels():
    routes, _ = router(TEMPLATE)
    assert routes.route("a/b:1", "all") != routes.route("a-b-1", "all")


def test_task_without_image_runs_on_the_bare_node():
    routes, _ = router(TEMPLATE, APP1, LOCAL)
    assert routes.route("", "all") == "local"


def test_bare_executors_take_turns():
    routes, _ = router(LOCAL, THREADS)
    assert [routes.route("", "all") for _ in range(4)] == ["local", "threads", "local", "threads"]


def test_task_without_image_uses_an_image_where_nothing_else_is():
    assert router(APP1)[0].route("", "all") == "one"


def test_images_can_be_ignored():
    routes, made = router(LOCAL, TEMPLATE, APP1, ignore_images=True)
    assert routes.route("app1:0.1", "all") == "local"
    assert made == []


def test_label_selects_the_executor():
    assert router(LOCAL, THREADS)[0].route("", ["threads"]) == "threads"
    assert router(LOCAL, THREADS)[0].route("", "threads") == "threads"


def test_unknown_label_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"'thread'.*Did you mean 'threads'"):
        router(LOCAL, THREADS)[0].route("", ["thread"])


def test_empty_list_of_labels_is_refused():
    with pytest.raises(ConfigurationError, match="names no executor"):
        router(LOCAL)[0].route("", [])


def test_task_without_image_is_refused_where_only_a_template_is():
    with pytest.raises(ConfigurationError, match="add a ThreadPoolExecutor"):
        router(TEMPLATE)[0].route("", "all")


def test_image_is_refused_where_no_template_is():
    with pytest.raises(ConfigurationError, match=r"images here: app1:0.1.*DockerProvider"):
        router(THREADS, APP1)[0].route("app2:0.1", "all")


def test_image_is_refused_where_only_plain_processes_are():
    with pytest.raises(ConfigurationError, match="'local' starts plain processes"):
        router(LOCAL)[0].route("app1:0.1", "all")
