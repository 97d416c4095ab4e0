import functools
import math
import types

from cnflow.worker.main_module import main_of


def function_of_a_script(source, name):
    names = {"__name__": "__main__"}
    exec(source, names)
    return names[name]


def test_main_has_the_globals_of_a_function_of_the_script():
    task = function_of_a_script("def cube(x): return x**3\ndef task(): return cube(2)", "task")
    main = main_of(task)
    assert main.__name__ == "__main__"
    assert main.cube is task.__globals__["cube"]
    assert main.task is task


def test_main_has_the_globals_of_a_method_and_of_a_callable_of_the_script():
    source = "helper = 1\nclass Model:\n    def __call__(self): ...\n    def fit(self): ..."
    model = function_of_a_script(source, "Model")()
    assert main_of(model).helper == 1
    assert main_of(model.fit).helper == 1


def test_functions_of_other_modules_leave_main_as_it_is():
    for function in (test_functions_of_other_modules_leave_main_as_it_is, math.sqrt, functools.partial(int), types):
        assert main_of(function) is None
