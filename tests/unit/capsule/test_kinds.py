import pytest

from cnflow.capsule import Kind, Probe, carried_kind, kind_of, runs_workers
from cnflow.errors import ImageUnusableError

DRIVER = Kind("3.12", "x86_64", "glibc")
CARRIED = Kind("3.12", "x86_64", "glibc", carries_python=True)

UNFIT = [
    ({"version": "3.8.18"}, "Python 3.8.18 on x86_64 with glibc 2.36"),
    ({"version": "2.7.18"}, "Python 2.7.18 on x86_64 with glibc 2.36"),
    ({"version": "3.15.0"}, "Python 3.15.0 on x86_64 with glibc 2.36"),
    ({"libc": "musl"}, "Python 3.11.7 on x86_64 with musl"),
    ({"libc": "musl 1.1.24"}, "Python 3.11.7 on x86_64 with musl 1.1.24"),
    ({"libc": ""}, "Python 3.11.7 on x86_64 with an unknown C library"),
    ({"libc": "glibc 2.17"}, "Python 3.11.7 on x86_64 with glibc 2.17"),
    ({"bits": 32}, "Python 3.11.7 on x86_64 (32-bit) with glibc 2.36"),
    ({"implementation": "PyPy"}, "PyPy for Python 3.11.7 on x86_64 with glibc 2.36"),
    ({"version": "3.13.0", "abiflags": "t"}, "Python 3.13.0 without the global interpreter lock on x86_64"),
]


def probe(**changes):
    fields = {"version": "3.11.7", "implementation": "CPython", "machine": "x86_64", "libc": "glibc 2.36"}
    return Probe(**{**fields, "executable": "/usr/bin/python3", **changes})


@pytest.mark.parametrize("version", ["3.9.0", "3.10.13", "3.11.7", "3.12.1", "3.13.9", "3.14.0"])
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("libc", ["glibc 2.28", "glibc 2.36", "musl 1.2.3"])
def test_supported_python_has_a_kind_whatever_the_driver_is(version, machine, libc):
    minor = version.rpartition(".")[0]
    found = probe(version=version, machine=machine, libc=libc)
    assert kind_of(found, "image 'a'") == Kind(minor, machine, libc.split()[0])
    if libc.startswith("glibc") or machine != DRIVER.machine:
        assert kind_of(found, "image 'a'", DRIVER) == Kind(minor, machine, libc.split()[0])


def test_manager_beside_a_python_on_musl_runs_on_the_carried_one_where_that_can_be():
    assert kind_of(probe(libc="musl 1.2.3"), "image 'a'", DRIVER) == CARRIED


@pytest.mark.parametrize(("found", "words"), UNFIT)
def test_unsupported_interpreter_is_an_error_with_advice_where_none_can_be_carried(found, words):
    with pytest.raises(ImageUnusableError) as caught:
        kind_of(probe(**found), "image 'app1:0.1'")
    assert str(caught.value).startswith(f"Image 'app1:0.1' has {words}")
    assert "CPython 3.9 to 3.14" in str(caught.value)


@pytest.mark.parametrize(("found", "words"), UNFIT)
def test_capsule_for_an_unsupported_interpreter_carries_the_drivers_python(found, words):
    assert kind_of(probe(**found), "image 'a'", DRIVER) == CARRIED
    assert runs_workers(probe(**found)) == (found.get("version") != "2.7.18"), words


def test_interpreter_is_carried_to_its_own_architecture_alone():
    assert carried_kind("x86_64", "image 'a'", DRIVER) == CARRIED
    with pytest.raises(ImageUnusableError, match=r"has no Python.*is for x86_64, not for aarch64"):
        carried_kind("aarch64", "image 'a'", DRIVER)
    with pytest.raises(ImageUnusableError, match=r"has Python 3.8.1 on aarch64.*is for x86_64, not for aarch64"):
        kind_of(probe(version="3.8.1", machine="aarch64"), "image 'a'", DRIVER)


def test_carried_python_that_answers_a_probe_runs_manager_and_workers():
    found = probe(version="3.12.1", is_carried=True)
    assert kind_of(found, "image 'a'", DRIVER) == CARRIED
    assert not runs_workers(found), "the image has none"


def test_slug_of_a_kind_is_readable():
    assert Kind("3.9", "x86_64", "glibc").slug == "cp39-x86_64-glibc"
    assert CARRIED.slug == "cp312-x86_64-glibc-carried"
