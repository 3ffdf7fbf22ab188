"""The JSON entrypoint beside Flight, as a script without any library calls it."""
import pytest

from predictions import call, predict


def test_health_check(server):
    status, health = call(server, "/health-check")
    assert status == 200
    assert health["status"] == "READY"
    assert health["setup"]["status"] == "succeeded"
    assert "sst2-mini" in health["setup"]["logs"] and "cpu" in health["setup"]["logs"] and "f32" in health["setup"]["logs"]


def test_root_lists_the_routes(server):
    status, routes = call(server, "/")
    assert status == 200
    assert routes["predictions_url"] == "/predictions" and routes["healthcheck_url"] == "/health-check"


def test_predictions(server):
    output = predict(server, ["an absolute joy to watch", "a dull , lifeless mess"])
    assert list(output) == ["predicted_labels", "confidences"]
    assert output["predicted_labels"] == [1, 0]
    assert all(0.5 < confidence <= 1 for confidence in output["confidences"])


@pytest.mark.parametrize("texts, rows", [("just a text", 1), ('["a", "b", "c"]', 3), ("[]", 0), ('[null, 1, ""]', 3), ('"one"', 1), ("{", 1)])
def test_what_counts_as_texts(server, texts, rows):
    status, answer = call(server, "/predictions", {"input": {"texts": texts}})
    assert (status, answer["status"]) == (200, "succeeded")
    assert len(answer["output"]["predicted_labels"]) == len(answer["output"]["confidences"]) == rows


def test_more_texts_than_one_batch(server, dev_texts):
    assert len(predict(server, dev_texts)["confidences"]) == len(dev_texts)


@pytest.mark.parametrize("body, field", [({"input": {}}, "texts"), ({"input": {"texts": 7}}, "texts"), ({}, "texts")])
def test_a_wrong_input_names_the_field(server, body, field):
    status, answer = call(server, "/predictions", body)
    assert status == 422
    assert answer["detail"][0]["loc"][-1] == field


def test_a_body_that_is_no_json(server):
    assert call(server, "/predictions", b"{")[0] == 400
    assert call(server, "/predictions", b"{}", content_type="text/plain")[0] == 415


def test_a_failed_prediction_says_why(server):
    status, answer = call(server, "/predictions", {"input": {"texts": "data:application/json;base64,abc"}})
    assert (status, answer["status"]) == (200, "failed")
    assert answer["error"]


def test_unknown_routes(server):
    assert call(server, "/nowhere")[0] == 404
