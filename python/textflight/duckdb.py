"""A function of DuckDB's that scores texts.

>>> import duckdb
>>> import textflight.duckdb
>>> con = textflight.duckdb.register(duckdb.connect(), name="sentiment")
>>> con.sql("SELECT sentiment('I love apple').label").fetchall()
[('POSITIVE',)]
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from typing import TYPE_CHECKING

import pyarrow as pa

from ._errors import InvalidError
from ._kept import kept_client
from ._structs import scored_structs

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# What DuckDB calls the type of a score.
_RETURNS = "STRUCT(label VARCHAR, confidence FLOAT)"
# Names of functions that were registered by this process, with whichever database.
_registered: set[str] = set()


def register(
    con: DuckDBPyConnection,
    name: str = "sentiment",
    *,
    model: str | PathLike[str] = "bundled",
    server: str | Sequence[str] | None = None,
    dtype: str | None = None,
    token: str | None = None,
    ca: str | bytes | PathLike[str] | None = None,
    timeout: float | None = None,
) -> DuckDBPyConnection:
    """Makes `name` a function of this connection's database: of a VARCHAR, it gives a STRUCT(label VARCHAR, confidence FLOAT).

    A null gives null. All connections and cursors of the database have the function, and the one that it was registered with may
    replace it. `model` and the rest say who scores, as for `textflight.score`. Gives back the connection.
    """
    import duckdb

    client = kept_client(server, model, dtype, token, ca, timeout)

    def function(texts: pa.ChunkedArray) -> pa.StructArray:
        return scored_structs(client, texts)

    _forget(con, name)
    # The types that DuckDB declares do not know the words that it takes.
    create: Callable[..., DuckDBPyConnection] = con.create_function
    try:
        # Nulls are passed on: to sort them out would copy the others.
        create(name, function, ["VARCHAR"], _RETURNS, type="arrow", null_handling="special")
    except duckdb.CatalogException as error:
        # DuckDB's own functions have names, too, and those are never ours.
        if name.lower() in _registered and "already exists" in str(error):
            raise InvalidError(
                f'"{name}" is a function of this database already, for all of its connections and cursors; the connection that it was '
                "registered with can replace it, or choose another name"
            ) from None
        raise
    _registered.add(name.lower())
    return con


def _forget(con: DuckDBPyConnection, name: str) -> None:
    """Takes away the function that was registered by this name, if one was."""
    import duckdb

    try:
        con.remove_function(name)
    except duckdb.InvalidInputException as error:
        # DuckDB has no call that tells whether there is one.
        if "No function by the name" not in str(error):
            raise
