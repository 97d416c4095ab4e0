"""Errors of entrypoints."""

import pytest

from cnflow import Image
from cnflow.errors import BlockRejectedError
from cnflow.providers.docker.entrypoint import not_started


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ('exec: "/no/such": stat /no/such: no such file or directory', "Name a program that the image has"),
        ("permission denied", "must end by executing its arguments"),
    ],
)
def test_entrypoint_that_is_not_in_the_image_is_told_from_one_that_does_not_run(words, advice):
    assert advice in str(not_started(Image("app1:0.1", entrypoint=["/no/such"]), BlockRejectedError(words)))
