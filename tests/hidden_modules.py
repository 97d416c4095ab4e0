"""Packages that are not installed, in the process of a test."""

import contextlib
import sys


@contextlib.contextmanager
def hidden_modules(*prefixes, missing):
    """Let modules whose names begin with *prefixes* be imported anew, where packages *missing* are not installed.

    Afterwards all is as before, also for what finds a module as an attribute of its package.
    """
    before = _loaded(prefixes)
    _remove(before)
    absent = {name: sys.modules.get(name) for name in missing}
    sys.modules.update(dict.fromkeys(missing))
    try:
        yield
    finally:
        _remove(_loaded(prefixes))
        sys.modules.update(before)
        for name, module in absent.items():
            del sys.modules[name]
            if module is not None:
                sys.modules[name] = module
        for name, module in before.items():
            package, _, attribute = name.rpartition(".")
            setattr(sys.modules[package], attribute, module)


def _loaded(prefixes):
    return {name: module for name, module in sys.modules.items() if name.startswith(prefixes)}


def _remove(modules):
    """Remove *modules*, also from their packages: ``from package import module`` finds them there first."""
    for name in modules:
        package, _, attribute = name.rpartition(".")
        if package in sys.modules:
            vars(sys.modules[package]).pop(attribute, None)
        del sys.modules[name]
