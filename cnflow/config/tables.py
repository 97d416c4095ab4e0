"""Messages for tables of a configuration file that have the wrong shape or place, in the words of TOML and Python."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from cnflow.errors import ConfigurationError, MissingExtraError, UnknownNameError


def refuse_table(value: object, option: str, header: str) -> object:
    """Return *value*, of an option that is a list of tables, unless it is a single table.

    Args:
        value: what the user wrote.
        option: its name.
        header: the name in the header of a TOML table, such as ``executors.provider``.

    Raises:
        ValueError: it is a table; the message shows how a list of them is written.
    """
    if not isinstance(value, Mapping):
        return value
    named = [str(name) for name, each in value.items() if isinstance(each, Mapping)]
    labels = f", with label = {named[0]!r} below it" if named and "kind" not in value and option == "executors" else ""
    raise ValueError(
        f"must be a list of tables, not one table: in TOML write [[{header}]] in place of "
        f"[{header}{'.' + named[0] if labels else ''}]{labels}; in Python, JSON and YAML {option} is a list"
    )


def one_table(value: object, option: str, header: str) -> object:
    """Return *value*, of an option that is a single table, unless it is a list.

    Raises:
        ValueError: it is a list; the message shows how one table is written.
    """
    if isinstance(value, (list, tuple)):
        raise ValueError(  # noqa: TRY004 - as pydantic wants
            f"must be one table, not a list of {len(value)}: in TOML write [{header}] in place of [[{header}]]; in "
            f"Python {option} is one object"
        )
    return value


def misplaced(table: Mapping[object, object], own: Collection[str], outer: Collection[str], place: str) -> str:
    """Hint for options of an outer table that stand in *table*, as all lines below a header of TOML do.

    Args:
        table: what the user wrote.
        own: the options that belong there.
        outer: the options of the outer table.
        place: where the options of the outer table stand.

    Returns:
        A sentence; empty if no option is misplaced.
    """
    lost = [name for name in map(str, table) if name not in own and name in outer]
    return f" {place}: {', '.join(map(repr, lost))}." if lost else ""


def at(where: str, error: ConfigurationError) -> ConfigurationError:
    """*error* with *where* before each of its lines, unless they begin with it; of the same class."""
    if isinstance(error, UnknownNameError):
        return UnknownNameError(error.what, error.name, error.known, where=error.where or f"{where}: ")
    if isinstance(error, MissingExtraError):
        return MissingExtraError(f"{where}: {error.what}", error.extra)
    if type(error) is not ConfigurationError:
        return error
    lines = str(error).splitlines()
    return ConfigurationError("\n".join(line if line.startswith(where) else f"{where}: {line}" for line in lines))
