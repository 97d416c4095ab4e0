"""Counts how docstrings open and how functions are named, as a measure of the prose; called by `make prose`.

Docstrings of fields and constants, which are strings below an assignment, count too.

A docstring names its subject first, so few should open with a pronoun or a question word; a function is named by a verb
or a noun, so few should be named by a participle. Neither is forbidden: the counts are read, and nothing fails by them.
"""

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

OPENERS = frozenset({"what", "whether", "those", "who", "as", "of"})
"""Opening words that hide the subject."""

PRONOUNS = OPENERS | {"how", "it", "its", "that", "these", "they", "this", "when", "where", "which", "whose", "why"}
IRREGULAR = frozenset(
    [
        "bound",
        "bought",
        "brought",
        "built",
        "done",
        "drawn",
        "fed",
        "found",
        "given",
        "gone",
        "heard",
        "held",
        "kept",
        "known",
        "left",
        "lent",
        "lost",
        "made",
        "met",
        "ran",
        "said",
        "seen",
        "sent",
        "shown",
        "spent",
        "spoken",
        "taken",
        "thrown",
        "told",
        "written",
    ],
)
"""Participles without ``-ed``; those that are also a verb's plain form (put, read, set) count as verbs."""

REGULAR = re.compile(r".*[^e]ed")
NOT_PARTICIPLES = frozenset({"embed", "exceed", "feed", "need", "seed", "speed"})


class Finding(NamedTuple):
    """One docstring or function that counts."""

    place: str
    text: str


class Counts(NamedTuple):
    """Counts of some files."""

    docstrings: int
    openers: list[Finding]
    pronouns: list[Finding]
    functions: int
    participles: list[Finding]

    def __str__(self) -> str:
        """Return the counts as lines for people."""

        def line(found: list[Finding], of: int, what: str) -> str:
            return f"{len(found):5} of {of} {what} ({100 * len(found) / max(1, of):.1f} %)"

        return "\n".join(
            [
                line(self.openers, self.docstrings, "docstrings open with What, Whether, Those, Who, As or Of"),
                line(self.pronouns, self.docstrings, "open with any pronoun or question word"),
                line(self.participles, self.functions, "functions are named by a participle"),
            ],
        )


def is_participle(name: str) -> bool:
    """Return True if the first word of the function's *name* is a participle."""
    word = name.strip("_").partition("_")[0]
    return word in IRREGULAR or (REGULAR.fullmatch(word) is not None and word not in NOT_PARTICIPLES)


def count(paths: list[Path]) -> Counts:
    """Counts of the modules in *paths*, files or folders. Special methods and test functions are no functions here."""
    docstrings: list[Finding] = []
    functions: list[Finding] = []
    for file, node in _nodes(paths):
        place = f"{file}:{getattr(node, 'lineno', 1)}"
        if docstring := ast.get_docstring(node):
            docstrings.append(Finding(place, docstring.partition("\n")[0]))
        if isinstance(node, (ast.Module, ast.ClassDef)):
            docstrings += [Finding(f"{file}:{line}", text.partition("\n")[0]) for line, text in _of_fields(node.body)]
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith(("__", "test_")):
            functions.append(Finding(place, node.name))
    opening = [(finding, re.split(r"\W+", finding.text, maxsplit=1)[0].lower()) for finding in docstrings]
    return Counts(
        len(docstrings),
        [finding for finding, word in opening if word in OPENERS],
        [finding for finding, word in opening if word in PRONOUNS],
        len(functions),
        [finding for finding in functions if is_participle(finding.text)],
    )


def _of_fields(body: list[ast.stmt]) -> Iterator[tuple[int, str]]:
    """Line and text of each string below an assignment in the *body* of a class or a module."""
    for assignment, below in pairwise(body):
        value = below.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else None
        if value and isinstance(value.value, str) and isinstance(assignment, (ast.Assign, ast.AnnAssign)):
            yield value.lineno, value.value.strip()


def _nodes(
    paths: list[Path],
) -> Iterator[tuple[Path, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in paths:
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                    yield file, node


def main() -> None:
    """Print the counts of the paths on the command line, and with ``-v`` each place that counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("-v", "--verbose", action="store_true")
    arguments = parser.parse_args()
    counts = count(arguments.paths)
    print(counts)
    if arguments.verbose:
        for finding in [*counts.pronouns, *counts.participles]:
            print(f"{finding.place}: {finding.text}")


if __name__ == "__main__":
    sys.exit(main())
