import threading

import hypothesis
import pytest
from hypothesis import strategies

from cnflow.dataflow.router import RoutableExecutor, Router
from cnflow.errors import ConfigurationError, UnknownNameError
from cnflow.model.image import NO_IMAGE, Image

THREADS = RoutableExecutor("threads", NO_IMAGE, needs_image=False, can_clone=False)
LOCAL = RoutableExecutor("local", NO_IMAGE, needs_image=False, can_clone=True)
TEMPLATE = RoutableExecutor("docker", NO_IMAGE, needs_image=True, can_clone=True)
APP1 = RoutableExecutor("one", Image("app1:0.1"), needs_image=True, can_clone=True)


def router(*places, ignore_images=False):
    made = []

    def clone(*cloned, fresh):
        made.append((*cloned, "fresh") if fresh else cloned)

    return Router(places, clone, threading.RLock(), ignore_images=ignore_images), made


def test_task_with_image_goes_to_the_executor_of_that_image():
    assert router(THREADS, APP1)[0].route(Image("app1:0.1"), "all") == "one"


def test_executor_is_cloned_from_the_first_template_once_for_each_image():
    routes, made = router(LOCAL, TEMPLATE, APP1)
    labels = [routes.route(Image("app/2:0.1"), "all") for _ in range(3)]
    assert labels == ["docker-app-2-0.1"] * 3
    assert made == [("docker", Image("app/2:0.1"), "docker-app-2-0.1")]


def test_label_of_a_template_selects_the_executor_cloned_from_it():
    routes, made = router(TEMPLATE)
    assert (
        routes.route(Image("app1:0.1"), "all")
        == routes.route(Image("app1:0.1"), "docker")
        == routes.route(Image("app1:0.1"), ["docker"])
    )
    assert len(made) == 1


def test_images_with_similar_names_get_different_labels():
    routes, _ = router(TEMPLATE)
    assert routes.route(Image("a/b:1"), "all") != routes.route(Image("a-b-1"), "all")


def test_task_without_image_runs_on_the_bare_node():
    routes, _ = router(TEMPLATE, APP1, LOCAL)
    assert routes.route(NO_IMAGE, "all") == "local"


def test_bare_executors_take_turns():
    routes, _ = router(LOCAL, THREADS)
    assert [routes.route(NO_IMAGE, "all") for _ in range(4)] == ["local", "threads", "local", "threads"]


def test_task_without_image_uses_an_image_where_nothing_else_is():
    assert router(APP1)[0].route(NO_IMAGE, "all") == "one"


def test_images_can_be_ignored():
    routes, made = router(LOCAL, TEMPLATE, APP1, ignore_images=True)
    assert routes.route(Image("app1:0.1"), "all") == "local"
    assert made == []


def test_label_selects_the_executor():
    assert router(LOCAL, THREADS)[0].route(NO_IMAGE, ["threads"]) == "threads"
    assert router(LOCAL, THREADS)[0].route(NO_IMAGE, "threads") == "threads"


def test_unknown_label_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"'thread'.*Did you mean 'threads'"):
        router(LOCAL, THREADS)[0].route(NO_IMAGE, ["thread"])


def test_empty_list_of_labels_is_refused():
    with pytest.raises(ConfigurationError, match="names no executor"):
        router(LOCAL)[0].route(NO_IMAGE, [])


def test_task_without_image_is_refused_where_only_a_template_is():
    with pytest.raises(ConfigurationError, match="add a ThreadPoolExecutor"):
        router(TEMPLATE)[0].route(NO_IMAGE, "all")


def test_image_is_refused_where_no_template_is():
    with pytest.raises(ConfigurationError, match=r"images here: app1:0.1.*without image="):
        router(THREADS, APP1)[0].route(Image("app2:0.1"), "all")


def test_image_is_refused_where_only_plain_processes_are():
    with pytest.raises(ConfigurationError, match="'local' starts plain processes"):
        router(LOCAL)[0].route(Image("app1:0.1"), "all")


def test_executor_made_for_an_image_takes_no_app_without_one():
    routes, _ = router(TEMPLATE)
    errors = []
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="whatever was called before") as caught:
            routes.route(NO_IMAGE, "all")
        errors.append(str(caught.value))
        with pytest.raises(ConfigurationError, match="no executor among 'docker' runs without one"):
            routes.route(NO_IMAGE, "docker")
        routes.route(Image("app1:0.1"), "all")
    assert errors[0] == errors[1]


def test_executor_made_from_another_template_is_not_in_the_way_of_the_first_one():
    other = TEMPLATE._replace(label="other")
    calls = [("app1:0.1", "all"), ("app1:0.1", "other"), ("app1:0.1", ["other", "docker"])]
    routes, backwards = router(TEMPLATE, other)[0], router(TEMPLATE, other)[0]
    chosen = [routes.route(Image(call[0]), call[1]) for call in calls]
    assert chosen == [backwards.route(Image(call[0]), call[1]) for call in reversed(calls)][::-1]
    assert chosen == ["docker-app1-0.1", "other-app1-0.1", "docker-app1-0.1"]


def test_executor_made_for_an_image_can_be_named_by_its_own_label():
    routes, made = router(TEMPLATE)
    label = routes.route(Image("app1:0.1"), "all")
    assert routes.route(Image("app1:0.1"), label) == label
    assert len(made) == 1


@hypothesis.given(strategies.permutations([("", "all"), ("app1:0.1", "all"), ("app2:0.1", "all"), ("", "one")]))
def test_choice_does_not_depend_on_the_calls_before(calls):
    routes, _ = router(TEMPLATE, APP1)
    chosen = {call: routes.route(Image(call[0]), call[1]) for call in calls}
    assert chosen == {
        ("", "all"): "one",
        ("app1:0.1", "all"): "one",
        ("app2:0.1", "all"): "docker-app2-0.1",
        ("", "one"): "one",
    }


def test_rule_of_each_executor_is_a_sentence():
    routes, _ = router(TEMPLATE, APP1)
    made = routes.route(Image("app2:0.1"), "all")
    assert routes.rule("one") == (
        "Executor 'one' has image 'app1:0.1': it takes apps with that image, and apps without one, as no executor is "
        "without."
    )
    routes.add(LOCAL)
    assert routes.rule("one") == "Executor 'one' has image 'app1:0.1': it takes apps with that image."
    assert routes.rule("local") == "Executor 'local' has no image: it takes apps without one."
    assert "was made from 'docker' for image 'app2:0.1'" in routes.rule(made)
    assert routes.rule("_joiner") == ""


def test_images_with_other_options_get_executors_of_their_own():
    routes, made = router(TEMPLATE)
    small, large = Image("app1:0.1", memory="1g"), Image("app1:0.1", memory="2g")
    labels = [
        routes.route(image, "all") for image in (small, large, Image("app1:0.1"), Image("app1:0.1", memory=2**30))
    ]
    assert labels == [f"docker-{image.name_for_files()}" for image in (small, large, Image("app1:0.1"), small)]
    assert len(set(labels)) == 3
    assert [image for _, image, _ in made] == [small, large, "app1:0.1"]


def test_plain_name_of_an_image_means_the_configured_executor_with_its_options():
    own = APP1._replace(image=Image("app1:0.1", memory="1g"))
    assert router(TEMPLATE, own)[0].route(Image("app1:0.1"), "all") == "one"
    assert router(TEMPLATE, own)[0].route(Image("app1:0.1", memory="2g"), "all").startswith("docker-app1-0.1-")


def test_refusal_names_the_options_in_which_executors_of_the_image_differ():
    with pytest.raises(ConfigurationError, match=r"with its options \(executor 'one' has another memory\)"):
        router(APP1)[0].route(Image("app1:0.1", memory="1g"), "all")


class TestFreshTasks:
    def test_executor_of_a_container_for_each_task_is_made_from_the_template(self):
        routes, made = router(LOCAL, TEMPLATE)
        label = routes.route(Image("app1:0.1"), "all", fresh=True)
        assert routes.route(Image("app1:0.1"), "all", fresh=True) == label == "docker-app1-0.1-fresh"
        assert made == [("docker", Image("app1:0.1"), label, "fresh")]
        assert routes.rule(label) == (
            "Executor 'docker-app1-0.1-fresh' was made from 'docker' for image 'app1:0.1' and fresh=True, and takes "
            "such apps alone."
        )

    def test_apps_with_and_without_it_have_executors_of_their_own(self):
        routes, made = router(TEMPLATE)
        labels = [routes.route(Image("app1:0.1"), "all", fresh=fresh) for fresh in (False, True, False, True)]
        assert labels == ["docker-app1-0.1", "docker-app1-0.1-fresh"] * 2
        assert len(made) == 2

    def test_configured_executor_of_the_image_serves_as_its_template(self):
        routes, made = router(APP1, TEMPLATE)
        assert routes.route(Image("app1:0.1"), "all", fresh=True) == "one-fresh"
        assert made == [("one", Image("app1:0.1"), "one-fresh", "fresh")]

    def test_configured_executor_with_fresh_blocks_takes_them(self):
        routes, made = router(APP1, APP1._replace(label="own", fresh=True))
        assert [routes.route(Image("app1:0.1"), "all", fresh=True) for _ in range(2)] == ["own", "own"]
        assert [routes.route(Image("app1:0.1"), "all") for _ in range(2)] == ["one", "own"]
        assert made == []

    def test_app_without_an_image_gets_that_of_the_executor_it_would_run_on(self):
        routes, made = router(APP1)
        assert routes.route(NO_IMAGE, "all", fresh=True) == "one-fresh"
        assert made == [("one", Image("app1:0.1"), "one-fresh", "fresh")]

    def test_bare_node_gives_a_fresh_process_and_threads_come_last(self):
        routes, made = router(THREADS, LOCAL)
        assert routes.route(NO_IMAGE, "all", fresh=True) == "local-fresh"
        assert [routes.route(NO_IMAGE, "all") for _ in range(2)] == ["threads", "local"]
        assert [label for label, *_ in made] == ["local"]

    def test_executors_of_fresh_tasks_are_not_in_the_way_of_other_apps(self):
        routes, _ = router(LOCAL, TEMPLATE)
        routes.route(NO_IMAGE, "all", fresh=True)
        routes.route(Image("app1:0.1"), "all", fresh=True)
        assert [routes.route(NO_IMAGE, "all") for _ in range(2)] == ["local", "local"]
        assert routes.route(NO_IMAGE, "local") == "local"

    def test_template_with_fresh_blocks_has_one_executor_for_each_image(self):
        routes, made = router(TEMPLATE._replace(fresh=True))
        labels = {routes.route(Image("app1:0.1"), "all", fresh=fresh) for fresh in (True, False)}
        assert labels == {"docker-app1-0.1"}
        assert len(made) == 1


POOLS = RoutableExecutor(
    "shared", NO_IMAGE, needs_image=True, can_clone=True, images=frozenset({"app1:0.1", "app3:0.1"})
)


def test_image_of_a_standing_pool_goes_there_before_any_template():
    routes, made = router(TEMPLATE, POOLS)
    assert routes.route(Image("app1:0.1"), "all") == "shared-app1-0.1"
    assert made == [("shared", Image("app1:0.1"), "shared-app1-0.1")]


@pytest.mark.parametrize(
    ("place", "advice"),
    [
        (APP1, "Add an executor with the provider of 'one' and without image="),
        (THREADS, r"Add HighThroughputExecutor\(provider=DockerProvider\(\)\)"),
        (
            POOLS,
            r"Give the server of 'shared' a pool of that image, or add HighThroughputExecutor\(provider=",
        ),
    ],
)
def test_image_without_a_template_is_refused_with_the_way_to_one(place, advice):
    with pytest.raises(ConfigurationError, match=advice):
        router(place)[0].route(Image("app2:0.1"), "all")


def test_image_without_a_standing_pool_goes_to_a_template():
    routes, _ = router(POOLS, TEMPLATE)
    assert routes.route(Image("app2:0.1"), "all") == "docker-app2-0.1"
    assert routes.route(Image("app1:0.1", memory="1g"), "all").startswith("docker-app1-0.1-")


def test_image_without_a_standing_pool_is_refused_with_those_that_there_are():
    routes, _ = router(POOLS)
    with pytest.raises(
        ConfigurationError, match=r"No executor runs image 'app2:0.1' \(images here: app1:0.1, app3:0.1\)"
    ):
        routes.route(Image("app2:0.1"), "all")


def test_misspelt_image_is_refused_with_the_nearest():
    routes, _ = router(POOLS)
    with pytest.raises(ConfigurationError, match=r"No executor runs image 'ap1:0.1'.* Did you mean 'app1:0.1'\?"):
        routes.route(Image("ap1:0.1"), "all")
