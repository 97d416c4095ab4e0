"""Patterns of ``.dockerignore``, as Docker matches them."""

import pytest

from cnflow.images.dockerignore import Ignored


@pytest.mark.parametrize(
    ("pattern", "excluded", "kept"),
    [
        ("*.pyc", ["a.pyc"], ["sub/a.pyc", "a.py"]),
        ("**/*.pyc", ["a.pyc", "sub/deep/a.pyc"], ["a.py"]),
        ("*/temp*", ["sub/temporary", "sub/temp/file"], ["temp", "a/b/temp"]),
        ("temp?", ["tempa"], ["temp", "temp/a", "tempab"]),
        ("data", ["data", "data/a/b"], ["sub/data"]),
        ("/data/", ["data/a"], ["sub/data"]),
        ("data/**", ["data/a", "data/a/b"], ["data"]),
        ("**/cache", ["cache", "a/b/cache/file"], ["cached"]),
        ("a/../b", ["b"], ["a"]),
        ("./c", ["c"], ["b"]),
        ("[a-c].txt", ["a.txt", "c.txt"], ["d.txt"]),
        ("[^a].txt", ["d.txt"], ["a.txt"]),
        (r"\*.txt", ["*.txt"], ["a.txt"]),
        (".", [], ["a", "b/c"]),
        ("# comment", [], ["# comment", "comment"]),
        ("*", ["a", "b/c"], []),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_pattern_excludes_what_docker_excludes(pattern, excluded, kept):
    ignored = Ignored(pattern)
    assert [path for path in [*excluded, *kept] if ignored.excludes(path)] == excluded


def test_last_pattern_that_fits_decides():
    ignored = Ignored("*.md\n!README*.md\nREADME-secret.md\n")
    assert [p for p in ["a.md", "README.md", "README-secret.md"] if ignored.excludes(p)] == ["a.md", "README-secret.md"]


def test_exception_keeps_a_file_in_an_excluded_folder():
    ignored = Ignored("*\n!src/main.py\n")
    assert ignored.excludes("src")
    assert not ignored.excludes("src/main.py")
    assert not ignored.excludes_all_below("src")
    assert Ignored("*").excludes_all_below("src")


@pytest.mark.parametrize("line", ["!", "[a", "[z-a]"])
def test_line_that_is_no_pattern_is_refused(line):
    with pytest.raises(ValueError, match=r"pattern|without"):
        Ignored(line)
