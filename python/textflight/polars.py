"""An expression of polars that scores texts, in frames that are eager or lazy.

>>> import polars as pl
>>> import textflight.polars
>>> frame = pl.DataFrame({"review": ["I love apple", None]})
>>> frame.select(textflight.polars.sentiment("review").struct.field("label"))["label"].to_list()
['POSITIVE', None]
"""
from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

import polars as pl

from ._errors import InvalidError
from ._kept import kept_client
from ._structs import scored_structs

#: The type of a score.
SCORE = pl.Struct({"label": pl.String, "confidence": pl.Float32})

_TEXTS = (pl.String, pl.Categorical, pl.Enum, pl.Null)


def sentiment(
    expr: pl.Expr | str,
    *,
    model: str | PathLike[str] = "bundled",
    server: str | Sequence[str] | None = None,
    dtype: str | None = None,
    token: str | None = None,
    ca: str | bytes | PathLike[str] | None = None,
    timeout: float | None = None,
) -> pl.Expr:
    """The score of each text of an expression, or of the column of this name: a struct of `label` and `confidence`.

    A null gives null. As with every expression of polars, the result has the name of its input unless it is called otherwise:
    `sentiment("review").alias("score")`. `model` and the rest say who scores, as for `textflight.score`.
    """
    texts = pl.col(expr) if isinstance(expr, str) else expr
    if not isinstance(texts, pl.Expr):
        raise InvalidError(f"expr is {type(expr).__name__}; the name of a column, or an expression such as pl.col(\"review\") would be right")
    client = kept_client(server, model, dtype, token, ca, timeout)

    def scores(series: pl.Series) -> pl.Series:
        if not isinstance(series.dtype, _TEXTS):
            raise InvalidError(f'column "{series.name}" is {series.dtype}, not text')
        scored = pl.from_arrow(scored_structs(client, series.to_arrow()))
        return pl.Series(series.name, scored, SCORE)

    # A text's score has to do with no other row: polars may hand over any part of a column, at any time.
    return texts.map_batches(scores, return_dtype=SCORE, is_elementwise=True)


@pl.api.register_expr_namespace("textflight")
class Expressions:
    """What the expression `expr` can do once this module is imported: `pl.col("review").textflight.sentiment()`."""

    def __init__(self, expr: pl.Expr) -> None:
        self._expr = expr

    def sentiment(self, **options: Any) -> pl.Expr:
        """`textflight.polars.sentiment` of the expression, with the same options."""
        return sentiment(self._expr, **options)
