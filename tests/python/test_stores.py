"""Object stores against servers of their protocols: the test binary of the crate takes the URL from the environment."""
import subprocess

import pyarrow.parquet as pq
import pytest

import server as servers
import stores


def suite():
    """The newest of the test binaries that lie beside the command."""
    binaries = [path for path in (servers.BINARY.parent / "deps").glob("suite-*") if not path.suffix]
    assert binaries, "no test binary: build it with cargo test --no-run"
    return max(binaries, key=lambda path: path.stat().st_mtime)


def passes(test, **variables):
    """Runs one test of the crate's with these variables."""
    command = [suite(), "--ignored", "--exact", f"stores::{test}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, env=stores.variables(**variables))
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr


@pytest.fixture(scope="module")
def s3():
    with stores.s3() as endpoint, stores.client(endpoint) as client:
        stores.Bucket(client, "bucket")
        yield endpoint


def test_s3_takes_and_gives(s3):
    passes("a_real_store_takes_and_gives", **stores.KEYS, AWS_ENDPOINT=s3, TEXTFLIGHT_TEST_STORE="s3://bucket/folder")


def test_s3_that_fails_at_random_takes_and_gives(s3):
    with stores.flaky(s3) as (proxy, failures):
        passes("a_real_store_takes_and_gives", **stores.KEYS, AWS_ENDPOINT_URL=proxy, TEXTFLIGHT_TEST_STORE="s3://bucket/flaky")
    assert failures["refused"] > 3 and failures["broken"] > 1, failures


@pytest.mark.parametrize("url, variables, error", [
    ("s3://bucket/gone", {}, "s3://bucket/gone: there is no such object"),
    ("s3://nobody/gone", {}, "s3://nobody: there is no such bucket"),
    ("s3://bucket/gone", {"AWS_ALLOW_HTTP": "false"}, "AWS_ALLOW_HTTP=true"),
    ("s3://bucket/gone", {"AWS_ENDPOINT": "http://127.0.0.1:1"}, "the store cannot be reached"),
])
def test_s3_says_what_is_wrong(s3, url, variables, error):
    variables = {**stores.KEYS, "AWS_ENDPOINT": s3, **variables}
    passes("a_real_store_says_what_is_wrong", **variables, TEXTFLIGHT_TEST_WRONG=url, TEXTFLIGHT_TEST_ERROR=error)


def test_s3_says_that_credentials_are_wrong():
    with stores.s3(INITIAL_NO_AUTH_ACTION_COUNT="1") as endpoint, stores.client(endpoint) as client:
        stores.Bucket(client, "bucket")
        wrong = {"TEXTFLIGHT_TEST_WRONG": "s3://bucket/a", "TEXTFLIGHT_TEST_ERROR": "the credentials are not taken: InvalidAccessKeyId; set AWS_"}
        passes("a_real_store_says_what_is_wrong", **stores.KEYS, AWS_ENDPOINT=endpoint, **wrong)


def test_a_file_is_read_over_http(reviews):
    content, rows = reviews.read_bytes(), pq.read_metadata(reviews).num_rows
    with stores.web(content) as url:
        passes("a_table_of_others_is_read", TEXTFLIGHT_TEST_TABLE=url, TEXTFLIGHT_TEST_ROWS=str(rows))
        wrong = url.replace("key=1", "key=2")
        error = "/a%20table.parquet: the credentials are not taken: 401 Unauthorized; write them into the URL"
        passes("a_real_store_says_what_is_wrong", TEXTFLIGHT_TEST_WRONG=wrong, TEXTFLIGHT_TEST_ERROR=error)
    with stores.web(content, gives_ranges=False) as url:
        error = "/a%20table.parquet: the server gives no ranges of a file; copy the file to disk first"
        passes("a_real_store_says_what_is_wrong", TEXTFLIGHT_TEST_WRONG=url, TEXTFLIGHT_TEST_ERROR=error)


def test_google_takes_and_gives(s3):
    """Google's XML API, which is spoken here, is that of S3 but for signatures; gcp-storage-emulator knows the JSON API alone."""
    options = {"GOOGLE_BASE_URL": s3, "GOOGLE_BEARER_TOKEN": "test"}
    passes("a_real_store_takes_and_gives", **options, TEXTFLIGHT_TEST_STORE="gs://bucket/google")


def test_azure_takes_and_gives():
    program = stores.azurite()
    if program is None:
        pytest.skip("npm is not there, which azurite is installed by")
    with stores.azure(program) as endpoint:
        stores.create_container(endpoint, "container")
        passes("a_real_store_takes_and_gives", **stores.azure_keys(endpoint), TEXTFLIGHT_TEST_STORE="az://container/folder")
