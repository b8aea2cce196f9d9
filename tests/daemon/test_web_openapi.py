"""The API's description says what the API does."""

import jsonschema
import pytest

from edge.daemon.web.openapi import document
from tests.daemon.web_daemon import jpeg, page, running

METHODS = ("get", "post", "put", "delete", "head", "patch", "options", "trace")
FORM = 'size = [640, 240]\n\n[[field]]\nname = "total"\nbox = [20, 20, 600, 200]\n'


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with running(tmp_path_factory.mktemp("state")) as site:
        site.daemon.save_fields(FORM)
        site.daemon.record()
        site.daemon.record(event="heartbeat")
        yield site


def schema_of(path, method, status, kind="application/json"):
    """The schema of an answer, with all that it refers to."""
    said = document()
    content = said["paths"][path][method]["responses"][str(status)]["content"]
    schema = content[kind]["schema"]
    return {**schema, "components": said["components"]}


def strictly(schema):
    """The same, and nothing may be there that it does not name."""
    if isinstance(schema, list):
        return [strictly(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: strictly(part) for key, part in schema.items()}
    if strict.get("type") == "object" and "required" in strict:
        strict["additionalProperties"] = False
    return strict


def check(answer, path, method="get"):
    validator = jsonschema.Draft202012Validator
    schema = strictly(schema_of(path, method, answer.status))
    validator.check_schema(schema)
    validator(schema).validate(answer.json)


def test_every_route_is_described_and_none_that_is_not_there(site):
    routes = site.server.app.paths
    described = {
        path: tuple(method.upper() for method in item if method in METHODS)
        for path, item in document()["paths"].items()
    }
    assert described == routes


def test_the_description_is_served(site):
    assert site.get("/api/openapi.json").json == document()


def test_every_schema_is_one_and_is_used():
    said = document()
    for schema in said["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    text = str(said)
    for name in said["components"]["schemas"]:
        assert f"#/components/schemas/{name}" in text


def test_the_document_has_what_openapi_asks_for():
    said = document()
    assert said["openapi"].startswith("3.1.")
    assert {"title", "version"} <= set(said["info"])
    for item in said["paths"].values():
        for operation in item.values():
            assert operation["summary"]
            assert operation["responses"]
            for answer in operation["responses"].values():
                assert answer["description"]
            for parameter in operation.get("parameters", ()):
                assert {"name", "in", "schema"} <= set(parameter)


@pytest.mark.parametrize(
    "path",
    [
        "/api/latest",
        "/api/readings",
        "/api/live",
        "/api/openapi.json",
        "/api/fields?format=json",
        "/api/readings?limit=x",
    ],
)
def test_what_is_got_is_as_described(site, path):
    check(site.get(path), path.partition("?")[0])


def test_health_is_as_described(site):
    answer = site.get("/api/health")
    jsonschema.Draft202012Validator(schema_of("/api/health", "get", 200)).validate(answer.json)


def test_what_is_sent_is_answered_as_described(site):
    check(site.post("/api/read?fields=1", jpeg(page()), Content_Type="image/jpeg"), "/api/read", "post")
    check(site.post("/api/read", b"x", Content_Type="image/jpeg"), "/api/read", "post")
    check(site.post("/api/read", b"x", Content_Type="text/html"), "/api/read", "post")
    check(site.post("/api/trigger"), "/api/trigger", "post")
    check(site.post("/api/correct", {"sequence": 1, "text": "5550100"}), "/api/correct", "post")
    check(site.post("/api/correct", {"sequence": 999, "text": "5550100"}), "/api/correct", "post")
    check(site.ask("PUT", "/api/fields", site.get("/api/fields?format=json").json), "/api/fields", "put")
    check(site.ask("PUT", "/api/fields", "x", Content_Type="text/plain"), "/api/fields", "put")
    check(site.post("/api/logout"), "/api/logout", "post")
    check(site.post("/api/trigger", Origin="https://elsewhere.example"), "/api/trigger", "post")


def test_the_latest_record_may_be_null(tmp_path):
    with running(tmp_path) as site:
        check(site.get("/api/latest"), "/api/latest")
        check(site.get("/api/live"), "/api/live")
        check(site.get("/api/frame.jpg"), "/api/frame.jpg")
