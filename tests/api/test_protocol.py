"""Base URI, access, messages and endpoints over HTTP (RFC 7644 sections 1.3, 2 and 3.1 to 3.2)."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

from app.control import Access, ControlStore, upgrade
from app.factory import create_app
from config.errors import ConfigError
from config.loader import load
from config.settings import LogSettings, Settings
from tests.api.answers import taken
from tests.api.expect import refused
from tests.api.opening import opened, own_service
from tests.api.schemas import api_registry
from tests.support.service import (
    ENTERPRISE,
    GROUP,
    PATCH_OP,
    SCIM_JSON,
    SEARCH_REQUEST,
    USER,
    Client,
    QuietHandler,
    Service,
)


@pytest.mark.req("P-1.3-01")
@pytest.mark.parametrize(
    "url", ["https://scim.tern.example/x?y=1", "https://scim.tern.example/?", "https://t.example/#a"]
)
def test_a_base_uri_has_no_query(url: str) -> None:
    """A public URL with a query or fragment stops the service at its start."""
    with pytest.raises(ConfigError, match="public_url"):
        load(None, {"LANDFALL_PUBLIC_URL": url})
    assert load(None, {"LANDFALL_PUBLIC_URL": "https://scim.tern.example/x"}).scim_url == (
        "https://scim.tern.example/x/scim/v2"
    )


@pytest.mark.req("P-1.3-01", "P-3.4.2-05")
def test_stray_parameters_of_the_base_uri_are_tolerated(client: Client, name: str) -> None:
    """Parameters that the protocol does not know, also without a value, change nothing."""
    user = client.user(name)
    query = f'foo=bar&aadOptscim062020&filter=userName%20eq%20"{name}"&foo=twice'
    assert [r["id"] for r in taken(client.get(f"/Users?{query}"))["Resources"]] == [user["id"]]
    assert taken(client.get(f"/Users/{user['id']}?aadOptscim062020=1")) == user


@pytest.fixture(scope="module")
def mounted(
    store_name: str, new_database: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    """A client of a service below the path /a/b of its host."""
    registry, home = api_registry(), tmp_path_factory.mktemp("home")
    upgrade(f"sqlite:///{home / 'control.db'}")
    control = ControlStore(f"sqlite:///{home / 'control.db'}")
    token = control.add_bearer(control.create_integration("mounted", Access.FULL).id, None).value
    control.close()
    server = make_server("127.0.0.1", 0, Response("not here", 404), threaded=True, request_handler=QuietHandler)
    base = f"http://127.0.0.1:{server.port}/a/b"
    with opened(store_name, registry, new_database) as backend:
        app = create_app(Settings(home=home, public_url=base, log=LogSettings(level="error")), backend, registry)
        server.app = DispatcherMiddleware(Response("not here", 404), {"/a/b": app})
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Client(f"{base}/scim/v2", token)
        server.shutdown()
        thread.join()
        server.server_close()
        app.extensions["landfall"].control.close()


@pytest.mark.req("P-1.3-02")
def test_any_path_prefix_works(mounted: Client, name: str) -> None:
    """Below a prefix every location and reference carries it, and leads to the resource."""
    boss = mounted.user(f"boss-{name}")
    user = mounted.user(name, **{ENTERPRISE: {"manager": {"value": boss["id"]}}})
    group = mounted.group(f"g-{name}", user["id"])
    shown = taken(mounted.get(f"/Users/{user['id']}"))
    uris = [
        shown["meta"]["location"],
        group["meta"]["location"],
        group["members"][0]["$ref"],
        shown["groups"][0]["$ref"],
        shown[ENTERPRISE]["manager"]["$ref"],
        taken(mounted.get("/ResourceTypes/User"))["meta"]["location"],
        taken(mounted.get(f"/Schemas/{USER}"))["meta"]["location"],
    ]
    for uri in uris:
        assert uri.startswith(f"{mounted.base}/"), uri
        assert taken(mounted.get(uri))["id"] == uri.rpartition("/")[2]
    assert mounted.base.endswith("/a/b/scim/v2")


@pytest.mark.req("P-2-01", "P-2.2-01")
@pytest.mark.parametrize("credentials", [None, "Basic YTpi", "Bearer", "Bearer nothing", "Token x"])
def test_without_a_valid_token_there_is_a_challenge(
    credentials: str | None, service: Service, client: Client, name: str
) -> None:
    """Every endpoint answers 401 and names the scheme; what exists and what does not can't be told apart."""
    path = f"/Users/{client.user(name)['id']}"
    headers = {"Authorization": credentials} if credentials else {}
    with service.anonymous as anonymous:
        for method, target in (
            ("GET", path),
            ("GET", "/Users/nobody"),
            ("GET", "/Users"),
            ("GET", "/nowhere"),
            ("GET", "/"),
            ("POST", "/Users"),
            ("PUT", path),
            ("PATCH", path),
            ("DELETE", path),
            ("POST", "/Users/.search"),
            ("POST", "/Schemas"),
        ):
            response = anonymous.request(
                method, target, headers=headers, json={"schemas": [USER], "userName": f"x-{name}"}
            )
            refused(response, 401)
            assert response.headers["WWW-Authenticate"].startswith("Bearer ")
    assert taken(client.get(path))["userName"] == name
    assert client.found("/Users", f'userName eq "x-{name}"') == set()


@pytest.mark.req("P-2-02")
def test_a_read_only_client_reads_and_writes_nothing(client: Client, reader: Client, name: str) -> None:
    """Its GET and .search work; each of its writes is 403 and changes nothing."""
    user = client.user(name)
    path = f"/Users/{user['id']}"
    body = {"schemas": [USER], "userName": f"x-{name}"}
    assert taken(reader.get(path)) == user
    assert reader.found("/Users", f'userName eq "{name}"') == {user["id"]}
    search = {"schemas": [SEARCH_REQUEST], "filter": f'userName eq "{name}"'}
    assert taken(reader.post("/Users/.search", json=search))["totalResults"] == 1
    assert taken(reader.post("/.search", json=search))["totalResults"] == 1
    refused(reader.post("/Users", json=body), 403)
    refused(reader.put(path, json=body), 403)
    refused(reader.change(path, {"op": "add", "path": "title", "value": "x"}), 403)
    refused(reader.delete(path), 403)
    refused(reader.post("/Bulk", json={}), 403)
    assert taken(client.get(path)) == user
    assert client.found("/Users", f'userName eq "x-{name}"') == set()


@pytest.mark.req("P-2.1-01")
def test_a_token_is_good_at_its_own_service_only(
    service: Service, store_name: str, new_database: Callable[[str], str], tmp_path: Path
) -> None:
    """An access token works where it was issued; at another service, or altered, or without signature, it does not."""
    integration = service.control.create_integration(f"own-{tmp_path.name}", Access.READ_ONLY)
    secret = service.control.add_secret(integration.id).value
    form = {"grant_type": "client_credentials", "client_id": integration.id, "client_secret": secret}
    issued = httpx.post(f"{service.settings.issuer}/oauth/token", data=form)
    token = taken(issued)["access_token"]
    header, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))

    def encoded(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    wider = encoded({**claims, "scope": "scim.read scim.write"})
    forged = (
        f"{header}.{wider}.{signature}",
        f"{encoded({'alg': 'none', 'typ': 'at+jwt'})}.{payload}.",
        f"{header}.{payload}.",
    )
    with Client(service.settings.scim_url, token) as own:
        assert own.get("/Users?count=0").status_code == 200
    for false in forged:
        with Client(service.settings.scim_url, false) as client:
            refused(client.get("/Users?count=0"), 401)
    elsewhere = own_service(store_name, api_registry(), new_database, tmp_path)
    with elsewhere as other, Client(other.settings.scim_url, token) as client:
        refused(client.get("/Users?count=0"), 401)


@pytest.mark.req("P-3.1-01")
def test_messages_are_known_by_their_exact_schema(client: Client, name: str) -> None:
    """A PATCH or search with another message URN is refused; answers carry ListResponse and Error."""
    user = client.user(name)
    path = f"/Users/{user['id']}"
    operations = [{"op": "add", "path": "title", "value": "x"}]
    for urn in (SEARCH_REQUEST, USER, "urn:scim:schemas:core:1.0", PATCH_OP.replace("2.0", "1.0")):
        refused(client.patch(path, json={"schemas": [urn], "Operations": operations}), 400, "invalidSyntax")
    for urn in (PATCH_OP, USER, SEARCH_REQUEST + "s"):
        refused(client.post("/Users/.search", json={"schemas": [urn]}), 400, "invalidSyntax")
    assert taken(client.get(path)) == user
    prefix = "urn:ietf:params:scim:api:messages:2.0:"
    assert taken(client.get("/Users?count=0"))["schemas"] == [f"{prefix}ListResponse"]
    assert client.get("/Users/nobody").json()["schemas"] == [f"{prefix}Error"]


@pytest.mark.req("P-3.1-03", "P-3.3-10")
def test_answers_show_what_is_stored(client: Client, name: str) -> None:
    """What a POST or PUT ignored, unknown attributes and sub-attributes too, is not echoed and not stored."""
    ignored = {
        "shoeSize": 42,
        "groups": [],
        "meta": {"created": "x"},
        "emails": [{"value": "a@t.example", "colour": 1}],
    }
    user = client.user(name, **ignored)
    body = {"schemas": [USER], "userName": name, **ignored}
    replaced = taken(client.put(f"/Users/{user['id']}", json=body))
    for shown in (user, replaced, taken(client.get(f"/Users/{user['id']}"))):
        assert shown.keys() == {"schemas", "id", "meta", "userName", "emails"}
        assert shown["emails"] == [{"value": "a@t.example"}]


@pytest.mark.req("P-3.2-01", "P-3.2-04")
@pytest.mark.parametrize("endpoint", ["/Users", "/Groups"])
def test_methods_of_collections_and_items(endpoint: str, client: Client, name: str) -> None:
    """A collection takes GET and POST, an item GET, PUT, PATCH and DELETE; others are 405 with those in Allow."""
    attribute, urn = ("userName", USER) if endpoint == "/Users" else ("displayName", GROUP)
    body = {"schemas": [urn], attribute: name}
    created = taken(client.create(endpoint, body), 201)
    path = f"{endpoint}/{created['id']}"
    assert client.get(endpoint).status_code == 200
    for method in ("PUT", "PATCH", "DELETE"):
        response = client.request(method, endpoint, json=body)
        refused(response, 405)
        assert {"GET", "POST"} <= set(response.headers["Allow"].split(", ")) <= {"GET", "HEAD", "OPTIONS", "POST"}
    response = client.post(path, json=body)
    refused(response, 405)
    assert {"GET", "PUT", "PATCH", "DELETE"} <= set(response.headers["Allow"].split(", "))
    assert taken(client.get(path)) == created
    assert client.put(path, json=body).status_code == 200
    assert client.change(path, {"op": "replace", "path": attribute, "value": name}).status_code in (200, 204)
    assert client.delete(path).status_code == 204


@pytest.mark.req("P-3.2-02")
@pytest.mark.parametrize("path", ["/.search", "/Users/.search", "/Groups/.search", "/Bulk"])
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_search_and_bulk_take_post_only(path: str, method: str, client: Client) -> None:
    """Other methods are 405 and POST is in Allow."""
    response = client.request(method, path, json={"schemas": [SEARCH_REQUEST]})
    refused(response, 405)
    assert set(response.headers["Allow"].split(", ")) <= {"POST", "OPTIONS"}
    assert "POST" in response.headers["Allow"]


@pytest.mark.req("P-3.2-05")
@pytest.mark.parametrize("tail", ["foo", "emails", ".search", "id/more"])
def test_nothing_lies_below_a_resource(tail: str, client: Client, name: str) -> None:
    """A path below an item is 404."""
    user = client.user(name)
    refused(client.get(f"/Users/{user['id']}/{tail}"), 404)
    refused(client.get("/Vessels"), 404)


@pytest.mark.req("P-3.2-06")
def test_paths_are_decoded_and_may_end_with_a_slash(client: Client, name: str) -> None:
    """An id may come percent-encoded, and a slash at the end or doubled makes no difference."""
    user = client.user(name)
    encoded = "".join(f"%{ord(c):02X}" for c in user["id"])
    for path in (f"/Users/{encoded}", f"/Users/{user['id']}/", f"//Users/{user['id']}", f"/%55sers/{user['id']}"):
        assert taken(client.get(client.base + path)) == user
    for path in ("/Users/", "//Users", "/Users//"):
        assert taken(client.get(client.base + path, params={"count": "0"}))["totalResults"] >= 1
    created = client.post(
        "/Users/", json={"schemas": [USER], "userName": f"x-{name}"}, headers={"Content-Type": SCIM_JSON}
    )
    assert taken(created, 201)["meta"]["location"].startswith(f"{client.base}/Users/")
