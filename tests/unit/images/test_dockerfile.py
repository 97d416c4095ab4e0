"""Recipes as Dockerfiles, and what is read from the user's own."""

import pytest

from cnflow import Image
from cnflow.images.dockerfile import bases_of, compile_step, dockerfile_text, needs_buildkit, title_of, with_final_stage


def compiled(image, **copied):
    steps = enumerate(image.recipe.steps, 1)
    return dockerfile_text("FROM base", [compile_step(step, n, copied.get(f"n{n}", "")) for n, step in steps])


def test_steps_become_instructions_in_order():
    image = (
        Image("base")
        .apt_install("git", "curl")
        .env(A='say "$hi"')
        .workdir("/opt/app")
        .with_user("nobody")
        .run("make all")
    )
    install = "DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends"
    assert compiled(image).splitlines() == [
        "FROM base",
        f"RUN apt-get update && {install} git curl && rm -rf /var/lib/apt/lists/*",
        r'ENV A="say \"\$hi\""',
        "WORKDIR /opt/app",
        "USER nobody",
        "RUN make all",
    ]


def test_requirements_are_quoted_for_the_shell():
    assert (
        compiled(Image("base").pip_install("numpy>=2", "x[y]", options="--pre"))
        .splitlines()[1]
        .endswith("python3 -m pip install --pre 'numpy>=2' 'x[y]'")
    )


def test_single_file_is_copied_under_its_name_in_the_image_and_a_folder_by_its_content():
    image = Image("base").copy_local("m.py", "/opt/a b/m2.py").copy_local("src", "/opt/src")
    assert compiled(image, n1="m.py").splitlines()[1:] == [
        'COPY [".cnflow-copied/1/m.py", "/opt/a b/m2.py"]',
        'COPY [".cnflow-copied/2/", "/opt/src/"]',
    ]


def test_file_whose_name_is_a_pattern_is_copied_with_its_folder():
    image = Image("base").copy_local("m[1].py", "/opt/a/m2.py").copy_local("src", "/opt/src")
    assert compiled(image, n1="m2[1].py").splitlines()[1:] == [
        'COPY [".cnflow-copied/1/", "/opt/a/"]',
        'COPY [".cnflow-copied/2/", "/opt/src/"]',
    ]


@pytest.mark.parametrize("command", ["a\nb", "[ -d /x ]", "--help", "cat <<E", "echo \\"])
def test_command_that_a_builder_could_misread_is_passed_as_a_list(command):
    assert compiled(Image("base").run(command)).splitlines()[1].startswith('RUN ["/bin/sh", "-')


def test_secret_of_a_variable_is_a_file_and_a_variable_of_its_command_alone():
    line = compiled(Image("base").run("fetch", secrets=["TOKEN"])).splitlines()[1]
    assert line == (
        'RUN --mount=type=secret,id=TOKEN,required=true,mode=0444 export TOKEN="$(cat /run/secrets/TOKEN)" && fetch'
    )


def test_pip_finds_its_files_among_the_secrets():
    line = compiled(Image("base").pip_install("x", secrets={"pip.conf": "file:~/pip.conf"})).splitlines()[1]
    assert "id=pip.conf," in line
    assert " PIP_CONFIG_FILE=/run/secrets/pip.conf PIP_" in line


def test_title_is_the_step_as_the_user_wrote_it():
    steps = Image("base").pip_install("six").copy_local("a", "/b").env(A="1").run("make").recipe.steps
    titles = ["pip_install('six')", "copy_local('a', '/b')", "env(A='1')", "run('make')"]
    assert [title_of(step) for step in steps] == titles


@pytest.mark.parametrize(
    ("text", "args", "bases"),
    [
        ("FROM a:1\nRUN x", {}, ("a:1",)),
        ("# c\nARG B=a:1\nFROM ${B} AS s\nFROM s\nCOPY --from=s . .", {}, ("a:1",)),
        ("ARG B=a:1\nFROM --platform=linux/amd64 $B\n", {"B": "b:2"}, ("b:2",)),
        ("ARG V\nFROM a:${V:-3}", {}, ("a:3",)),
        ("from a\nfrom scratch\nFROM a", {}, ("a",)),
    ],
    ids=["plain", "stages", "platform", "default", "scratch"],
)
def test_bases_of_a_dockerfile_are_its_froms_besides_its_stages(text, args, bases):
    assert bases_of(text, args) == bases


def test_instructions_that_only_buildkit_has_are_found():
    assert needs_buildkit("FROM a\nRUN --network=none \\\n  --mount=type=secret,id=x y")
    assert needs_buildkit("FROM a\nRUN <<EOF\nx\nEOF")
    assert not needs_buildkit("FROM a\n# RUN --mount=x\nRUN x --mount=y")


def test_steps_after_a_target_are_a_stage_on_top_of_it():
    assert with_final_stage("FROM a AS b\n", "b") == "FROM a AS b\nFROM b"
