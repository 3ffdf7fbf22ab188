"""Where each kind of bad input of the Python package has its test."""
import re

import pytest

from server import REPOSITORY

BAD_INPUT = {
    "no server at the address": "test_py_recovery.py: test_no_server_at_the_address",
    "what is no Flight server": "test_py_recovery.py: test_what_is_not_a_flight_server",
    "a wrong token": "test_py_access.py: test_a_token",
    "a wrong authority": "test_py_access.py: test_tls_with_an_authority_of_ones_own",
    "a server killed in mid-stream": "test_py_recovery.py: test_a_server_that_is_killed_and_comes_back_costs_no_rows",
    "a server killed for good": "test_py_recovery.py: test_a_server_that_is_killed_and_stays_away",
    "a server that keeps still": "test_py_recovery.py: test_a_server_that_keeps_still",
    "a network that breaks": "test_py_network.py: test_a_network_that_breaks_again_and_again",
    "a column that is not there, or not text": "test_py_pandas.py: test_which_column",
    "the same in polars": "test_py_polars.py: test_what_is_no_text",
    "the same in pyarrow": "test_py_arrow.py: test_which_column",
    "duplicate column names": "test_py_pandas.py: test_names_that_come_twice",
    "the same in tables": "test_py_arrow.py: test_names_that_come_twice",
    "a MultiIndex of rows": "test_py_pandas.py: test_the_index_stays",
    "a MultiIndex of columns": "test_py_pandas.py: test_columns_of_several_levels",
    "no rows": "test_py_pandas.py: test_a_frame_without_rows",
    "no columns": "test_py_pandas.py: test_a_frame_without_columns",
    "the same of polars": "test_py_polars.py: test_frames_without_rows_or_columns",
    "objects of mixed types": "test_py_pandas.py: test_objects_of_mixed_types",
    "lists of mixed types": "test_py_arrow.py: test_lists_that_are_no_texts",
    "nested data": "test_py_pandas.py: test_nested_data",
    "a reader of many rows": "test_py_memory.py: test_a_reader_of_many_rows",
    "a large frame": "test_py_memory.py: test_a_frame",
    "two processes that start at once": "test_py_processes.py: test_two_processes_that_start_at_once",
    "fork after import": "test_py_processes.py: test_fork_after_import_and_after_use",
    "fork in the middle": "test_py_processes.py: test_fork_while_it_scores",
    "data of no kind": "test_py_arrow.py: test_data_of_no_kind",
    "options that are none": "test_py_arrow.py: test_options_that_are_none",
}


@pytest.mark.parametrize("place", BAD_INPUT.values(), ids=BAD_INPUT)
def test_each_has_its_test(place):
    file, name = place.split(": ")
    assert re.search(rf"^def {name}\(", (REPOSITORY / "tests" / "python" / file).read_text(), re.MULTILINE), place
