"""The arithmetic of docs/scale.md: its tables, its examples and its picture follow from the inputs that it states."""
import contextlib
import io
import math
import re

import pytest

from server import REPOSITORY, run

PAGE = (REPOSITORY / "docs" / "scale.md").read_text()
PICTURE = (REPOSITORY / "docs" / "scale.svg").read_text()
LENGTHS = [10, 25, 64, 128]
ROWS = {"1 million": 1e6, "1 billion": 1e9, "1 trillion": 1e12}
HOUR = 3600


def table(heading):
    """The rows of the first table below a heading, each a list of its cells, without the head."""
    section = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = re.search(r"^\|.*\n\|[-|]+\n((?:\|.*\n)+)", section, re.MULTILINE)[1].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def gflop(tokens):
    """What a row takes, as the page's formula says."""
    token, square, row = map(float, re.search(r"([\d.]+) × L \+ ([\d.]+) × L² \+ ([\d.]+)", PAGE).groups())
    return token * tokens + square * tokens**2 + row


def machines():
    """What each may do, in GFLOP/s from the fastest to the slowest, and its price an hour."""
    found = {}
    for name, limit, used, price in table("What goes in"):
        shares = [float(share) / 100 for share in re.findall(r"[\d.]+", used)]
        found[name] = [float(limit) * 1000 * share for share in sorted(shares, reverse=True)], float(price)
    return found


def about(number):
    """Two digits of it: an estimate has no more."""
    if number == 0:
        return "0"
    rounded = round(number, 1 - math.floor(math.log10(abs(number))))
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:g}"


def between(numbers):
    low, high = about(min(numbers)), about(max(numbers))
    return low if low == high else f"{low}–{high}"


def time(seconds):
    """Both ends in the unit of the longer one."""
    longest = max(seconds)
    unit, name = (1, "s") if longest < 120 else (60, "min") if longest < 2 * HOUR else (HOUR, "h")
    return f"{between([s / unit for s in seconds])} {name}"


def size(count):
    for unit, name in [(1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB")]:
        if count >= unit:
            return f"{count / unit:g} {name}"
    raise AssertionError(f"{count} bytes")


def seconds(rates, rows, tokens):
    return [rows * gflop(tokens) / rate for rate in rates]


def money(rates, price, rows, tokens):
    return "$" + between([s / HOUR * price for s in seconds(rates, rows, tokens)])


def answer():
    for name, (rates, price) in machines().items():
        cells = [f"{time(seconds(rates, rows, 25))}, {money(rates, price, rows, 25)}" for rows in ROWS.values()]
        yield [name, *cells]


def lengths():
    yield ["GFLOP a row", *(f"{gflop(tokens):.2f}" for tokens in LENGTHS)]
    for name, (rates, _) in machines().items():
        yield [f"{name}: rows/s", *(between([rate / gflop(tokens) for rate in rates]) for tokens in LENGTHS)]
    for name, (rates, price) in machines().items():
        yield [f"{name}: a billion rows", *(money(rates, price, 1e9, tokens) for tokens in LENGTHS)]


def measured():
    for machine, precision, speed, _, _, _ in table("What was measured"):
        core = float(speed) / 2
        yield [machine, precision, speed, f"{core * 25.2:,.0f}", f"{1e6 / (core * 25.2):.0f}", f"{core * gflop(25.2):.0f}"]


BYTES = {"text, as it is": 105, "text, in Parquet with ZSTD": 51, "new columns": 5, "a row of 1 kB, read or copied": 1000}


def stored():
    for what, bytes_of_row in BYTES.items():
        yield [what, str(bytes_of_row), *(size(bytes_of_row * rows) for rows in ROWS.values())]


MIB = 2**20


def committed_rows():
    """Rows of an entry of the journal, as the code has it."""
    defaults = (REPOSITORY / "src" / "config" / "defaults.rs").read_text()
    return int(re.search(r"COMMIT_EVERY: .*rows: (\d+)", defaults)[1])


def three(number):
    """Three digits of it."""
    return float(f"{number:.3g}")


def requests():
    rows_of = {
        "reads of the text in Parquet, 4 MiB each": 4 * MIB / BYTES["text, in Parquet with ZSTD"],
        "reads of the text in row groups of 10,000 rows": 10_000,
        "writes of the new columns, 8 MiB each": 8 * MIB / BYTES["new columns"],
        "writes of a copy of rows of 1 kB, 8 MiB each": 8 * MIB / BYTES["a row of 1 kB, read or copied"],
        f"writes of journals, {committed_rows():,} rows each": committed_rows(),
    }
    for what, rows in rows_of.items():
        price = 0.0004 if what.startswith("reads") else 0.005
        cells = []
        for count in [1e9 / rows, 1e12 / rows]:
            number = f"{three(count / 1e6):g} million" if count >= 1e6 else f"{three(count):,.0f}"
            cost = three(count / 1000 * price)
            cells.append(f"{number}, $" + (f"{cost:,.0f}" if cost >= 1000 else f"{cost:g}"))
        yield [what, f"{math.floor(rows):,}", f"{price:g}", *cells]


def network():
    for name, (rates, _) in machines().items():
        speeds = [rate / gflop(25) for rate in rates]
        yield [name, between(speeds), *(f"{between([speed * count / 1e6 for speed in speeds])} MB/s" for count in (51, 1000))]


def week():
    for name, (rates, _) in machines().items():
        hours = [s / HOUR for s in seconds(rates, 1e12, 25)]
        yield [name, between(hours), between([math.ceil(h / 168) for h in hours])]


TABLES = {
    "Time and money": answer,
    "By length": lengths,
    "What was measured": measured,
    "Bytes": stored,
    "Requests": requests,
    "Network": network,
    "Machines and shards": week,
}


@pytest.mark.parametrize("heading", TABLES)
def test_a_table_follows_from_what_goes_in(heading):
    assert table(heading) == list(TABLES[heading]())


def test_what_goes_in_follows_from_the_model_and_from_what_was_measured():
    hidden, inner, layers = 768, 3072, 6
    product = 2 * hidden * hidden / 1e9
    layer = 4 * product + 2 * (2 * hidden * inner / 1e9)
    # The last layer: keys and values of all tokens, all else of one row; the head is one more product.
    assert gflop(1) - gflop(0) == pytest.approx((layers - 1) * layer + 2 * product, rel=1e-3)
    assert gflop(2) - 2 * gflop(1) + gflop(0) == pytest.approx(2 * (layers - 1) * 4 * hidden / 1e9, rel=1e-3)
    assert gflop(0) == pytest.approx(layer - 2 * product + product, rel=1e-2)
    cores = {row[1]: float(row[5]) for row in table("What was measured") if "Zen 4" in row[0]}
    limits = {name: float(limit) for name, limit, _, _ in table("What goes in")}
    for precision in ["int8", "f32"]:
        assert limits[f"64 cores, {precision}"] == pytest.approx(64 * cores[precision] / 1000, rel=1e-2)


def test_small_files_cost_by_their_number():
    """Of ten requests, which test_score_stores.py counts, three cost as writes."""
    assert f"nine or ten, of which the write of its output and two LISTs cost as writes, ${(7 * 0.0004 + 3 * 0.005) * 1000:.0f} for\n  a million files" in PAGE


def test_journals_are_a_share_of_the_money():
    log = (REPOSITORY / "src" / "bulk" / "journal" / "log.rs").read_text()
    pause = int(re.search(r"STORE_PAUSE: .*from_millis\((\d+)\)", log)[1]) / 1000

    def shares(name):
        rates, price = machines()[name]
        for s in seconds(rates, 1e12, 25):
            rows = max(committed_rows(), 1e12 / s * pause)
            yield f"{1e12 / rows / 1000 * 0.005 / (s / HOUR * price) * 100:.0f}"

    low, high = sorted(shares("L4"))
    [fastest] = set(shares("H100"))
    assert f"{low} to {high}% of what L4s cost for a trillion rows, {fastest}% of H100s" in PAGE
    assert f"for machines of up to {committed_rows() / pause:,.0f} rows/s" in PAGE
    slowest = re.search(r"fewer than (\d+) rows/s writes more of them, twice as many at (\d+)", PAGE)
    assert [round(committed_rows() / 5, -1), round(committed_rows() / 10)] == [int(rate) for rate in slowest.groups()]


def test_the_python_prints_what_is_behind_it():
    code = re.search(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[1]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, {})
    assert out.getvalue().splitlines() == re.findall(r"^print.*  # (.*)$", code, re.MULTILINE)


def points(rates):
    """The corners of what a machine takes, in the picture: a decade of rows is 110 wide, one of hours 50 high."""
    def corner(rows, rate):
        hours = rows * gflop(25) / rate / HOUR
        return f"{110 * math.log10(rows / 1e6) + 90:.0f},{40 + 50 * (5 - math.log10(hours)):.0f}"

    fastest, slowest = max(rates), min(rates)
    upper = [corner(1e6, slowest), corner(1e12, slowest)]
    return " ".join(upper if fastest == slowest else [*upper, corner(1e12, fastest), corner(1e6, fastest)])


@pytest.mark.parametrize("name", ["64 cores, int8", "64 cores, f32", "T4", "L4", "H100"])
def test_the_picture_shows_the_same(name):
    assert f'points="{points(machines()[name][0])}"' in PICTURE


def test_the_options_are_there():
    options = {option for command in ["score", "check", "serve"] for option in re.findall(r"--[a-z-]+", run(command, "--help").stdout)}
    assert set(re.findall(r"`(--[a-z-]+)", PAGE)) <= options
