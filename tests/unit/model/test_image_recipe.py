"""Recipes as values, in Python and in tables."""

import pickle

import pytest

from cnflow import Image
from cnflow.errors import ConfigurationError
from cnflow.model.image_recipe import ImageRecipe


def test_each_call_adds_a_step_and_leaves_the_image_before_it():
    first = Image.python("3.11", name="demo")
    second = first.pip_install("six")
    assert first.recipe.steps == ()
    assert len(second.recipe.steps) == 1
    assert str(second).startswith("cnflow/demo:recipe-")
    assert first != second


def test_image_with_a_name_is_the_base_of_its_first_step():
    assert Image("debian:12").apt_install("git").recipe.base == "debian:12"


def test_options_of_the_image_stay_beside_its_recipe():
    image = Image.python("3.11").pip_install("six").replace(memory="4g").run("make")
    assert image.memory == 4 * 2**30
    assert len(image.recipe.steps) == 2


def test_table_and_python_give_equal_images():
    table = {
        "recipe": {
            "python": "3.11",
            "steps": [
                {"pip_install": ["six"], "secrets": ["PIP_INDEX_URL"]},
                {"copy_local": "src", "to": "/opt"},
                {"env": {"A": "1"}},
                {"run": "make"},
            ],
        }
    }
    image = (
        Image.python("3.11")
        .pip_install("six", secrets=["PIP_INDEX_URL"])
        .copy_local("src", "/opt")
        .env(A="1")
        .run("make")
    )
    assert Image.of(table) == image
    assert Image.of(image.plain()) == image
    assert pickle.loads(pickle.dumps(image)).key == image.key
    assert Image.of({"recipe": image.plain()["recipe"]}) == image


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ({}, "needs a start"),
        ({"base": "a", "dockerfile": "b"}, "leave out base and python"),
        ({"base": "a", "args": {"A": "1"}}, "args is an option of a recipe with a dockerfile"),
        ({"python": "three"}, "no version of Python"),
        ({"base": "a", "name": "No Name"}, "not part of an image's name"),
        ({"base": "a", "step": []}, "no option 'step'. Did you mean 'steps'"),
        ({"base": "a", "steps": [{"pip_instal": ["six"]}]}, "Did you mean 'pip_install'"),
        ({"base": "a", "steps": [{"run": "a", "env": {}}]}, "is of 2 kinds, run and env"),
        ({"base": "a", "steps": [{"run": "a", "secret": ["T"]}]}, "Did you mean 'secrets'"),
        ({"base": "a", "steps": [{"pip_install": []}]}, "must name one at least"),
        ({"base": "a", "steps": [{"copy_local": "a", "to": "opt"}]}, "absolute path in the image"),
        ({"base": "a", "steps": [{"env": {"1A": "x"}}]}, "a table of variables"),
        ({"base": "a", "steps": [{"env": {"A": "x\ny"}}]}, "'A' has several lines"),
        ({"base": "a", "steps": [{"run": "a", "secrets": {"a b": "env:A"}}]}, "no name of a secret"),
        ({"base": "a", "context_limit": "much"}, "context_limit"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_recipe_is_refused_with_what_to_write(recipe, words):
    with pytest.raises(ConfigurationError, match=words):
        Image(recipe=recipe)


def test_name_beside_a_recipe_is_refused():
    with pytest.raises(ConfigurationError, match="leave the name out"):
        Image("app1:0.1", recipe={"base": "a"})


@pytest.mark.parametrize(
    ("recipe", "name"),
    [
        ({"python": "3.11"}, "cnflow/python-3-11"),
        ({"base": "reg:5000/team/Tool:1.2@sha256:00"}, "cnflow/tool-1-2"),
        ({"dockerfile": "./train/Dockerfile"}, "cnflow/train"),
        ({"dockerfile": "Dockerfile"}, "cnflow/dockerfile"),
        ({"base": "a", "name": "mine"}, "cnflow/mine"),
    ],
    ids=["python", "base", "folder", "dockerfile", "named"],
)
def test_name_of_the_image_follows_its_start(recipe, name):
    assert ImageRecipe.of(recipe).image_name == name
