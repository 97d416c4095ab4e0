"""Images that a script names, read from its source."""

import pytest

from cnflow import Image
from cnflow.cli.image_report import report_on
from cnflow.cli.lock_report import sources_of
from cnflow.cli.named_images import images_in
from cnflow.errors import ConfigurationError


@pytest.mark.parametrize(
    ("source", "references"),
    [
        ('@python_app(image="app1:0.1")\ndef f(): ...', ["app1:0.1"]),
        ('@cnflow.bash_app(image=Image("app1:0.1", memory="1g"))\ndef f(): ...', ["app1:0.1"]),
        ('APP = "app1:0.1"\n\n@python_app(image=APP)\ndef f(): ...', ["app1:0.1"]),
        ('APP = cnflow.Image("app1:0.1")\n\n@python_app(image=APP)\ndef f(): ...', ["app1:0.1"]),
        ('predict_app(image="app2:0.1", module="app2")\nf.with_options(image="app3:1")(1)', ["app2:0.1", "app3:1"]),
        ('HighThroughputExecutor(image={"reference": "app1:0.1", "memory": "1g"})', ["app1:0.1"]),
        ('Image(reference="app1:0.1")', ["app1:0.1"]),
        ("f(image=None)\ng(image='')", []),
        ('f(image="a:1")\ng(image="a:1")', ["a:1"]),
    ],
)
def test_images_are_found_where_they_are_written(source, references):
    assert images_in(source) == (references, [])


@pytest.mark.parametrize(
    "source",
    [
        'f(image=f"app:{version}")',
        "f(image=choose())",
        'APP = "a:1"\nAPP = "b:1"\nf(image=APP)',
        "f(image=sys.argv[1])",
    ],
)
def test_a_computed_image_is_reported_by_its_line(source):
    assert images_in(source) == ([], [source.count("\n") + 1])


def test_lock_without_names_leaves_out_images_of_recipes_which_no_registry_has():
    sources = sources_of(None, [str(Image("app1:0.1").run("make")), "app2:0.1"])
    assert [str(image) for image, _ in sources.images] == ["app2:0.1"]
    assert "lock it by --config FILE" in sources.notes[0]


def test_image_check_without_a_name_says_so():
    with pytest.raises(ConfigurationError, match="No image is named"):
        report_on(" ")
