"""Scores columns of text: data frames, tables and lists get a label and a confidence for each row.

>>> import textflight
>>> textflight.score(["I love apple", "I hate apple", None], columns="new")[0]["label"]
'POSITIVE'
"""
from ._binary import bundled_model
from ._client import Client, Prediction
from ._errors import (
    ConnectError,
    Error,
    ForkedError,
    InvalidError,
    JobError,
    KindError,
    MissingFileError,
    ServerError,
    TimedOutError,
    TokenError,
)
from ._parquet import score_parquet
from ._score import predict, score

__all__ = [
    "Client",
    "ConnectError",
    "Error",
    "ForkedError",
    "InvalidError",
    "JobError",
    "KindError",
    "MissingFileError",
    "Prediction",
    "ServerError",
    "TimedOutError",
    "TokenError",
    "__version__",
    "bundled_model",
    "predict",
    "score",
    "score_parquet",
]

__version__ = "0.1.0"

# They are known by where they are imported from.
for _name in __all__:
    if _name.endswith("Error"):
        globals()[_name].__module__ = __name__
