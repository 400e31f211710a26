"""The OpenAPI document and its page."""

import json


def test_the_document_lists_the_hot_routes_and_one_shape_of_errors(server):
    status, body, _ = server.get("/openapi.json")
    document = json.loads(body)
    infer = document["paths"]["/v2/models/{model}/versions/{version}/infer"]["post"]
    errors = {code: answer for code, answer in infer["responses"].items() if code >= "400"}
    assert status == 200
    assert "/v1/models/{model}:predict" in document["paths"]
    assert {"400", "404", "429"} <= errors.keys()
    assert "422" not in errors
    assert "detail" not in json.dumps(document["components"])
    assert document["components"]["schemas"]["Error"]["required"] == ["error"]


def test_the_document_lists_every_state_of_a_version(server):
    schemas = json.loads(server.get("/openapi.json")[1])["components"]["schemas"]
    version = schemas["ModelStatus"]["properties"]["model_version_status"]["items"]["properties"]
    entry = schemas["RepositoryIndex"]["items"]["properties"]
    assert version["state"]["enum"] == ["START", "LOADING", "AVAILABLE", "UNLOADING", "END"]
    assert entry["state"]["enum"] == ["READY", "UNAVAILABLE", "LOADING", "UNLOADING"]


def test_the_page_loads_nothing_from_anywhere(server):
    status, body, headers = server.get("/docs")
    page = body.decode()
    assert status == 200
    assert headers["content-type"].startswith("text/html")
    assert "POST /v2/models/{model}/infer" in page
    assert "src=" not in page
    assert "://" not in page
