import ast

from cnflow.capsule import PROBE_SCRIPT, Probe, parse_probe

LINE = (
    '{"version": "3.9.1", "implementation": "CPython", "machine": "x86_64", "libc": "musl", "executable": "", "new": 1}'
)


def test_what_else_an_interpreter_prints_is_passed_over():
    probe = parse_probe(f"Welcome to this site!\n[1]\n{LINE}\nGood bye\n\n")
    assert probe == Probe("3.9.1", "CPython", "x86_64", "musl", "")


def test_output_without_an_answer_is_no_probe():
    assert parse_probe("") is None
    assert parse_probe('{"version": "3.9.1"}\nnull\n"text"') is None


def test_a_probe_survives_being_written_down():
    probe = Probe("3.9.1", "CPython", "x86_64", "musl", "/bin/python3", uid=7, gid=8, capsule="tag")
    assert parse_probe(probe.to_json()) == probe


def test_the_script_is_written_for_old_pythons_too():
    assert not any(isinstance(node, ast.JoinedStr | ast.AnnAssign) for node in ast.walk(ast.parse(PROBE_SCRIPT)))
