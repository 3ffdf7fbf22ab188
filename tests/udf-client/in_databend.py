"""Databend itself, embedded in this process, calls the functions of a server: `in_databend.py 127.0.0.1:8815`.

Runs the statements of docs/sql.md as they are printed there, with the address filled in, and compares what comes back.
"""
import os
import pathlib
import re
import sys
import tempfile

ADDRESS = f"http://{sys.argv[1]}"
PAGE = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "sql.md").read_text()
SECTION = re.search(r"^## Databend$(.*?)(^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)[1].replace("http://127.0.0.1:8815", ADDRESS)
[CONFIGURATION] = re.findall(r"^```toml\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
STATEMENTS = "".join(re.findall(r"^```sql\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)).split(";")

def rows(context, statement):
    table = context.sql(statement).to_py_arrow()
    return [tuple(row.values()) for batch in table for row in batch.to_pylist()]


def check(found, expected):
    assert found == expected, f"{found} is not {expected}"


def refused(context, statement, expected):
    try:
        context.sql(statement).collect()
    except RuntimeError as error:
        assert expected in str(error), f"{expected!r} is not in {error}"
    else:
        raise AssertionError(f"not refused: {statement}")


def main(folder):
    configuration = pathlib.Path(folder, "databend-query.toml")
    configuration.write_text(CONFIGURATION)
    # Read when it is imported, and with it the working directory, in which it keeps what it stores.
    os.environ["CONFIG_FILE"] = str(configuration)
    os.chdir(folder)
    import databend

    context = databend.SessionContext(tenant="test")
    context.sql("CREATE TABLE reviews (id INT, body VARCHAR)").collect()
    context.sql("""INSERT INTO reviews SELECT number, CASE number % 4 WHEN 0 THEN NULL WHEN 1 THEN 'dull , dull , dull'
                   ELSE concat('a lovely film of ', (number % 50)::STRING, ' minutes') END FROM numbers(10000)""").collect()
    results = []
    for statement in filter(None, map(str.strip, STATEMENTS)):
        results.append(rows(context, statement) if statement.startswith("SELECT") else context.sql(statement).collect())
    expected = {None: 2500, "NEGATIVE": 2500, "POSITIVE": 5000}
    selected = [result for result in results if isinstance(result, list)]
    check(dict(selected[0]), expected)
    check({label: count for label, _, count in selected[1]}, expected)
    assert all(label is None or 0.5 < mean <= 1 for label, mean, _ in selected[1])
    check(rows(context, "SELECT sentiment(NULL), sentiment_score(NULL)"), [(None, None)])
    check(rows(context, "SELECT sentiment(body) FROM reviews WHERE id < 0"), [])
    function = f"(VARCHAR) RETURNS VARCHAR LANGUAGE python HANDLER = '{{}}' ADDRESS = '{ADDRESS}'"
    refused(context, f"CREATE FUNCTION other {function.format('other')}", "functions of SQL: textflight_label")
    refused(context, f"CREATE FUNCTION other {function.format('textflight_confidence')}", "return type mismatch")
    print("databend is served")


with tempfile.TemporaryDirectory() as scratch:
    main(scratch)
