"""The worker's side of own modules, in a process of its own: it changes how Python imports."""

import subprocess
import sys

BEGINNING = '''
import hashlib, inspect, pickle, sys, traceback
import cnflow
from cnflow.tasks import own_modules as own

STEPS = b"""
import threading
from cnflow import python_app
_lock = threading.Lock()
RATE = 1
TABLE = [1]
@python_app(cache=True)
def work(x):
    with _lock:
        return x * RATE
fast = work.options(retries=2)
def make(n):
    def add(x):
        return x + n + RATE
    return add
def fail():
    raise ValueError
"""

def record(kind, *content):
    body = pickle.dumps((kind, content))
    identity = hashlib.blake2b(body, digest_size=16).digest()
    own.receive(identity, body)
    return identity

def source(name, text, folders=None):
    file = "/nowhere/" + name.replace(".", "/") + ("/__init__.py" if folders else ".py")
    return record(own.SOURCE, name, file, folders, text)

package = source("pkg", b"from __future__ import annotations", ("/nowhere/pkg",))
other = source("pkg.other", b"from .steps import TABLE")
steps = source("pkg.steps", STEPS)
values = record(own.VALUES, "pkg.steps", {"RATE": (False, pickle.dumps(5)), "TABLE": (True, pickle.dumps([2]))})
'''


def run(test):
    done = subprocess.run([sys.executable, "-c", BEGINNING + test], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_modules_are_imported_from_the_source_with_the_values_of_the_driver():
    run("""
own.activate(package + other + steps + values)
work = own.function_at("pkg.steps", "work")
assert work(2) == 10
import pkg.other, pkg.steps
assert pkg.steps.fast is work is pkg.steps.work
assert pkg.other.TABLE is pkg.steps.TABLE == [2], "filled in place"
assert own.globals_of("pkg.steps") is vars(pkg.steps)
add = pkg.steps.make(1)
assert own.code_at("pkg.steps", "add", add.__code__.co_firstlineno) is not None
assert "return x * RATE" in inspect.getsource(work)
try:
    pkg.steps.fail()
except ValueError:
    assert 'File "/nowhere/pkg/steps.py", line 17, in fail\\n    raise ValueError' in traceback.format_exc()
""")


def test_another_source_replaces_all_modules_and_the_first_can_come_back():
    run("""
changed = source("pkg.steps", STEPS.replace(b"x * RATE", b"x - RATE"))
results = []
for modules in (package + steps, package + changed, package + other, package + steps):
    generation = own.activate(modules)
    if modules != package + other:
        results.append((own.function_at("pkg.steps", "work")(3), generation))
assert results == [(3, 0), (2, 1), (3, 2)], results
""")


def test_values_change_in_a_module_that_is_imported_and_its_first_values_come_back_by_an_import():
    run("""
own.activate(package + steps)
import pkg.steps as first
own.activate(package + steps + values)
assert (first.RATE, first.TABLE) == (5, [2])
own.activate(package + steps)
import pkg.steps as second
assert second is not first
assert (second.RATE, second.TABLE) == (1, [1])
""")


def test_a_submodule_is_found_as_an_attribute_of_its_package():
    run("""
own.activate(package + other + steps)
import pkg
assert pkg.other.TABLE == [1]
assert not hasattr(pkg, "nothing")
""")


def test_what_is_missing_is_named_with_the_place_and_the_reason():
    run("""
import os
os.environ.update(CNFLOW_WORKER_IMAGE="app:1", CNFLOW_WORKER_EXECUTOR="boxes")
own.activate(package + record(own.MISSING, "speedy", "it is compiled"))
for name, words in (("speedy", "it is compiled"), ("nothing_at_all", "in image 'app:1' (executor 'boxes')")):
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        own.explain(error)
        own.explain(error)
        assert words in str(error) and str(error).count("executor 'boxes'") == 1, error
        assert error.name == name
""")
