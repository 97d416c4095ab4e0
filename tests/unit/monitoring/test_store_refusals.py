"""Errors of databases: which are of a value that is refused, and which of a database that cannot write now."""

import sqlite3

import pytest
from sqlalchemy import exc

from cnflow.monitoring.store.database import refuses_values


@pytest.mark.parametrize("code", ["22003", "23505", "42804", "54000"])
def test_value_is_refused_by_postgresql(code):
    assert refuses_values(exc.ProgrammingError("INSERT", {}, Exception({"C": code, "M": "words"})))


@pytest.mark.parametrize("code", ["53100", "57P01", "25006", "40P01", "55P03"])
def test_postgresql_without_room_or_rights_is_tried_again(code):
    assert not refuses_values(exc.ProgrammingError("INSERT", {}, Exception({"C": code, "M": "disk full"})))
    assert not refuses_values(exc.InterfaceError("INSERT", {}, Exception("network error")))


def test_errors_of_sqlite():
    assert refuses_values(exc.IntegrityError("INSERT", {}, sqlite3.IntegrityError("NOT NULL constraint failed")))
    assert refuses_values(OverflowError("Python int too large"))
    assert not refuses_values(exc.OperationalError("INSERT", {}, sqlite3.OperationalError("disk is full")))
    assert not refuses_values(exc.DatabaseError("INSERT", {}, sqlite3.DatabaseError("disk image is malformed")))
