"""Apps in a module, whose functions use what lives once in each process."""

import contextvars
import sqlite3
import threading
import weakref

from lab import models, scale

import cnflow
from cnflow import bash_app, join_app, python_app

RATE = 3
CONFIG = {"more": 1}

_lock = threading.Lock()
_local = threading.local()
_context = contextvars.ContextVar("number", default=3)
_event = threading.Event()
_weak = weakref.WeakValueDictionary()
_memory = sqlite3.connect(":memory:", check_same_thread=False)


@python_app
def locked(x):
    with _lock:
        return scale(x) * RATE + CONFIG["more"]


@python_app
def state():
    _local.x = 1
    return _local.x, _context.get(), _event.is_set(), len(_weak), _memory.execute("select 1").fetchone()[0]


@bash_app
def same(word):
    with _lock:
        return f"test {word} = {CONFIG['more']}"


@cnflow.python_app
def imports_in_its_body():
    import lab.core.offsets
    from lab.late import late
    from parts.inner.namespace_part import hello

    return late(), hello(), lab.core.offsets.offset()


@python_app
def is_point(value):
    from lab.models import Point

    return isinstance(value, Point) and isinstance(value, models.Point), value


@join_app
def joined(x):
    return locked(x)
