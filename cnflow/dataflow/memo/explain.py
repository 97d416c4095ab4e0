"""Explains for people what the cache key of an app has of its code, and what it cannot see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.dataflow.memo.keys import id_of_code
from cnflow.dataflow.memo.report import notes
from cnflow.model.task import AppFunction

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

_SEEN = {
    "function": "functions",
    "class": "classes",
    "module": "modules of yours, of which it reads attributes",
    "source": "modules of yours that are not loaded here, by their source",
    "constant": "constants",
    "value": "values, by their content at the call",
    "installed": "installed packages, by name and without their version",
}
_UNSEEN = {
    "memory": "values that the function changes itself",
    "unseen": "values whose type has no id_for_memo",
    "computed": "names that are computed when it runs",
    "compiled": "compiled code, which counts by name",
}
_NEVER = "files that are no arguments, environment variables, the network, the clock, chance"


def explain_cache(app: Callable[..., Any], ignore_for_cache: Collection[str] = ()) -> str:
    """Return lines for people: what the cache key of *app* has of its code as it is now, and what it cannot see.

    Args:
        app: an app, or a function that would be one.
        ignore_for_cache: parameters that are left out of the key, besides those in the app's own options.
    """
    kept: Any = getattr(getattr(app, "_cnflow", None), "app", None)
    options: Any = getattr(getattr(app, "_cnflow", None), "options", None)
    function = kept if isinstance(kept, AppFunction) else AppFunction(app)
    ignored = [*ignore_for_cache, *getattr(options, "ignore_for_cache", ())]
    with notes() as found:
        error = id_of_code(function, ignored).error
    lines = [_title(function, is_cached=getattr(options, "cache", True))]
    if error is not None:
        return "\n".join([*lines, f"  no key can be made: {error}"])
    lines += ["  in the key, besides the arguments, the image and the minor version of Python:", *_table(_SEEN, found)]
    if ignored:
        lines.append(f"    not the parameters: {', '.join(ignored)}")
    return "\n".join([*lines, "  not in the key:", *_table(_UNSEEN, found), f"    {_NEVER}"])


def _title(app: AppFunction, *, is_cached: bool) -> str:
    code = getattr(app.original, "__code__", None)
    where = f" ({code.co_filename}:{code.co_firstlineno})" if code is not None else ""
    return f"{app.name}{where}{'' if is_cached else ', which has no cache=True'}"


def _table(rows: dict[str, str], found: dict[str, list[str]]) -> Sequence[str]:
    return [f"    {title}: {', '.join(found[kind])}" for kind, title in rows.items() if found.get(kind)]
