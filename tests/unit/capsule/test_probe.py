import ast

from cnflow.capsule import PROBE_SCRIPT, Probe, parse_probe

LINE = (
    '{"version": "3.9.1", "implementation": "CPython", "machine": "x86_64", "libc": "musl", "executable": "", "new": 1}'
)


def test_other_output_of_an_interpreter_is_skipped():
    probe = parse_probe(f"Welcome to this site!\n[1]\n{LINE}\nGood bye\n\n")
    assert probe == Probe("3.9.1", "CPython", "x86_64", "musl", "")


def test_output_without_a_probe_is_none():
    assert parse_probe("") is None
    assert parse_probe('{"version": "3.9.1"}\nnull\n"text"') is None


def test_probe_survives_encoding():
    probe = Probe("3.9.1", "CPython", "x86_64", "musl", "/bin/python3", uid=7, gid=8, capsule="tag")
    assert parse_probe(probe.to_json()) == probe


def test_script_has_no_syntax_of_new_pythons():
    assert not any(isinstance(node, ast.JoinedStr | ast.AnnAssign) for node in ast.walk(ast.parse(PROBE_SCRIPT)))
