import pytest

from cnflow.capsule import Kind, Probe, kind_of
from cnflow.errors import ImageUnusableError


def probe(**changes):
    fields = {"version": "3.11.7", "implementation": "CPython", "machine": "x86_64", "libc": "glibc 2.36"}
    return Probe(**{**fields, "executable": "/usr/bin/python3", **changes})


@pytest.mark.parametrize("version", ["3.9.0", "3.10.13", "3.11.7", "3.12.1", "3.13.9"])
def test_supported_python_has_a_kind(version):
    minor = version.rpartition(".")[0]
    assert kind_of(probe(version=version), "image 'a'") == Kind(minor, "x86_64", "glibc")


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"version": "3.8.18"}, "Python 3.8.18 on x86_64 with glibc 2.36"),
        ({"version": "2.7.18"}, "Python 2.7.18 on x86_64 with glibc 2.36"),
        ({"version": "3.14.0"}, "Python 3.14.0 on x86_64 with glibc 2.36"),
        ({"machine": "aarch64"}, "Python 3.11.7 on aarch64 with glibc 2.36"),
        ({"libc": "musl"}, "Python 3.11.7 on x86_64 with musl"),
        ({"libc": ""}, "Python 3.11.7 on x86_64 with an unknown C library"),
        ({"libc": "glibc 2.17"}, "Python 3.11.7 on x86_64 with glibc 2.17"),
        ({"bits": 32}, "Python 3.11.7 on x86_64 (32-bit) with glibc 2.36"),
        ({"implementation": "PyPy"}, "PyPy for Python 3.11.7 on x86_64 with glibc 2.36"),
        ({"version": "3.13.0", "abiflags": "t"}, "Python 3.13.0 without the global interpreter lock on x86_64"),
    ],
)
def test_unsupported_interpreter_is_an_error_with_advice(found, words):
    with pytest.raises(ImageUnusableError) as caught:
        kind_of(probe(**found), "image 'app1:0.1'")
    assert str(caught.value).startswith(f"Image 'app1:0.1' has {words}")
    assert "CPython 3.9 to 3.13" in str(caught.value)


def test_slug_of_a_kind_is_readable():
    assert Kind("3.9", "x86_64", "glibc").slug == "cp39-x86_64-glibc"
