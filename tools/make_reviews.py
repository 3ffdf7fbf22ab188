#!/usr/bin/env python3
"""Writes data/reviews.parquet, the table of the quick start: the SST-2 dev sentences with columns of many types.

  pip install pyarrow
  make_reviews.py DEV.tsv data/reviews.parquet

`text` and `truth` (0 negative, 1 positive) are the data set's own; `tags` are genre words that the text holds, `length` says how
long it is; `written_at` and `stars` are invented, by a formula, so that the file is the same on every run.
"""
import argparse, datetime, pathlib

import pyarrow as pa
import pyarrow.parquet

GENRES = ["action", "animated", "comedy", "documentary", "drama", "horror", "musical", "romance", "satire", "thriller"]
ROW_GROUPS = 4
SCHEMA = pa.schema([
    pa.field("id", pa.int64(), nullable=False),
    pa.field("text", pa.string(), metadata={"language": "en"}),
    pa.field("truth", pa.int8()),
    pa.field("length", pa.dictionary(pa.int32(), pa.string())),
    pa.field("written_at", pa.timestamp("us", tz="UTC")),
    pa.field("tags", pa.list_(pa.string())),
    pa.field("stars", pa.float64()),
], metadata={"source": "Stanford Sentiment Treebank (Socher et al. 2013), dev split; written_at and stars are invented"})


def review(number, text, truth):
    words = text.split()
    first = datetime.datetime(2013, 10, 18, 9, tzinfo=datetime.timezone.utc)
    return {
        "id": number,
        "text": text,
        "truth": truth,
        "length": "short" if len(words) < 12 else "medium" if len(words) < 25 else "long",
        "written_at": first + number * datetime.timedelta(hours=5, minutes=17, microseconds=123_457),
        "tags": [genre for genre in GENRES if genre in words],
        "stars": None if number % 7 == 3 else 1 + 2.5 * truth + number % 4 * 0.5,  # not everybody gives stars
    }


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("dev", type=pathlib.Path)
    p.add_argument("out", type=pathlib.Path)
    args = p.parse_args()
    rows = [line.rsplit("\t", 1) for line in args.dev.read_text(encoding="utf-8").splitlines()[1:]]
    reviews = [review(number, text, int(truth)) for number, (text, truth) in enumerate(rows, 1)]
    table = pa.Table.from_pylist(reviews, schema=SCHEMA)
    pa.parquet.write_table(table, args.out, compression="zstd", row_group_size=-(-len(table) // ROW_GROUPS))


if __name__ == "__main__":
    main()
