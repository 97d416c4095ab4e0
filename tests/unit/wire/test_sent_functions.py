"""Functions that travel once, and are forgotten when many were sent."""

import random

from cnflow.wire.function_messages import Function
from cnflow.wire.sent_functions import SentFunctions, functions_in_batches, kept, size_of

FUNCTIONS = {bytes([n]) * 16: Function(bytes([n]) * 16, f"f{n}", 0, "", b"code") for n in range(9)}
A, B, C, D, *_ = FUNCTIONS
SIZE = size_of(FUNCTIONS[A])


def ids(sent):
    return [function.id for function in sent[0]], sent[1]


def test_function_is_sent_with_its_first_task_only():
    functions = SentFunctions(9 * SIZE)
    assert ids(functions.add({B, A}, FUNCTIONS)) == ([A, B], False)
    assert ids(functions.add({A}, FUNCTIONS)) == ([], False)
    assert ids(functions.add({A, C}, FUNCTIONS)) == ([C], False)


def test_receiver_forgets_beyond_the_limit_and_is_sent_all_that_the_next_tasks_need():
    functions = SentFunctions(2 * SIZE)
    functions.add({A, B}, FUNCTIONS)
    assert ids(functions.add({A}, FUNCTIONS)) == ([], False), "nothing new: no need to forget"
    assert ids(functions.add({A, C}, FUNCTIONS)) == ([A, C], True)
    assert ids(functions.add({B}, FUNCTIONS)) == ([B], True)
    assert ids(functions.add({C}, FUNCTIONS)) == ([C], False)


def test_receiver_with_functions_from_before_forgets_with_the_first_task():
    functions = SentFunctions(9 * SIZE, is_new=False)
    assert ids(functions.add({A}, FUNCTIONS)) == ([A], True)
    functions.on_new_session()
    assert ids(functions.add({A}, FUNCTIONS)) == ([A], True)


def test_receiver_has_the_function_of_each_task_and_never_many_that_no_task_needs():
    rng = random.Random(1)
    functions, table, tasks = SentFunctions(3 * SIZE), {}, []
    for _ in range(5000):
        wanted = {rng.choice([*FUNCTIONS]) for _ in range(rng.randint(1, 3))}
        sent, forgets = functions.add(wanted, FUNCTIONS)
        if forgets:
            table = {function: table[function] for function in tasks}
        table.update((function.id, function) for function in sent)
        tasks += [function for function in sorted(wanted) if rng.random() < 0.7]
        assert set(tasks) | wanted <= set(table)
        assert functions.ids <= set(table)
        assert len(set(table) - set(tasks)) <= 3 + 3 + 3  # within the limit, the last, and of ended tasks
        del tasks[: rng.randint(0, len(tasks))]


def test_modules_are_sent_once_and_before_the_functions_that_need_them():
    table = {**FUNCTIONS, A: Function(A, "a", 0, "", b"", (C, D)), B: Function(B, "b", 0, "", b"", (D,))}
    functions = SentFunctions(9 * SIZE)
    assert ids(functions.add({A}, table)) == ([C, D, A], False)
    assert ids(functions.add({B}, table)) == ([B], False)
    functions.on_new_session()
    assert ids(functions.add({B, A}, table)) == ([C, D, A, B], True)
    assert kept(table, [B]).keys() == {B, D}


def test_large_functions_travel_in_messages_of_their_own():
    large = [Function(bytes([n]) * 16, "f", 0, "", bytes(700_000)) for n in range(3)]
    assert functions_in_batches([*FUNCTIONS.values()]) == [[*FUNCTIONS.values()]]
    assert functions_in_batches([large[0], FUNCTIONS[A], *large[1:]]) == [
        [large[0], FUNCTIONS[A]],
        [large[1]],
        [large[2]],
    ]
    assert functions_in_batches([]) == [[]]
