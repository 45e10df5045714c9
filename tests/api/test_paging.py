"""Index paging over HTTP (RFC 7644 section 3.4.2.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from config.settings import LimitsSettings
from tests.api.answers import taken
from tests.api.opening import own_service
from tests.api.schemas import api_registry
from tests.support.service import GROUP, SEARCH_REQUEST, Client

USERS, GROUPS = 7, 4


@pytest.fixture(scope="module")
def paged(
    store_name: str, new_database: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    """A client of a service with seven users and four groups, pages of three and at most five results."""
    limits = LimitsSettings(page_size=3, max_results=5)
    with own_service(store_name, api_registry(), new_database, tmp_path_factory.mktemp("home"), limits) as service:
        client = service.client()
        for number in range(USERS):
            client.user(f"user{number}@tern.example")
        for number in range(GROUPS):
            taken(client.create("/Groups", {"schemas": [GROUP], "displayName": f"group {number}"}), 201)
        yield client


@pytest.fixture(params=["GET", "POST"])
def ask(request: pytest.FixtureRequest, paged: Client) -> Callable[..., dict[str, Any]]:
    """Asks an endpoint for a page, in the query and as a SearchRequest."""

    def get(endpoint: str, **parameters: int) -> dict[str, Any]:
        if request.param == "GET":
            return taken(paged.get(endpoint, params=parameters))
        body = {"schemas": [SEARCH_REQUEST], **parameters}
        return taken(paged.post(f"{endpoint.rstrip('/')}/.search", json=body))

    return get


Ask = Callable[..., dict[str, Any]]
ENDPOINTS = {"/Users": USERS, "/Groups": GROUPS, "/": USERS + GROUPS}


@pytest.mark.req("P-3.4.2.4-01")
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_the_start_counts_from_one(endpoint: str, ask: Ask) -> None:
    """A start below 1 counts as 1 and is answered as 1, and the default is 1."""
    first = ask(endpoint, startIndex=1)
    assert first["startIndex"] == 1
    for start in (0, -5, -(10**20)):
        assert ask(endpoint, startIndex=start) == first
    assert ask(endpoint) == first
    second = ask(endpoint, startIndex=2)
    assert second["startIndex"] == 2
    assert second["Resources"][0] == first["Resources"][1]


@pytest.mark.req("P-3.4.2.4-02", "P-3.4.2.4-05")
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_no_page_is_larger_than_asked(endpoint: str, ask: Ask) -> None:
    """A page has as many as were asked for, fewer at the end, and itemsPerPage is the number that it has."""
    total = ENDPOINTS[endpoint]
    for start in range(1, total + 2):
        for count in (1, 2, 4):
            page = ask(endpoint, startIndex=start, count=count)
            assert page["totalResults"] == total
            assert page["itemsPerPage"] == len(page["Resources"]) == min(count, total - start + 1)


@pytest.mark.req("P-3.4.2.4-03")
@pytest.mark.parametrize("count", [0, -1, -(10**20)])
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_count_of_zero_gives_the_total_only(endpoint: str, count: int, ask: Ask) -> None:
    """0 and less give no resources and the right total."""
    page = ask(endpoint, count=count)
    assert (page["totalResults"], page["itemsPerPage"], page["Resources"]) == (ENDPOINTS[endpoint], 0, [])


@pytest.mark.req("P-3.4.2.4-04", "S-5-07")
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_the_service_bounds_a_page(endpoint: str, ask: Ask) -> None:
    """Without count a page of the configured size comes, and never more than maxResults."""
    total = ENDPOINTS[endpoint]
    assert ask(endpoint)["itemsPerPage"] == 3
    for count in (6, 1000, 10**20):
        page = ask(endpoint, count=count)
        assert (page["totalResults"], page["itemsPerPage"]) == (total, min(5, total))


@pytest.mark.req("P-3.4.2.4-06")
@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("start", [9999, 2**31, 2**63, 10**25])
def test_a_start_past_the_end_is_an_empty_page(endpoint: str, start: int, ask: Ask) -> None:
    """200 with the total and no resources."""
    page = ask(endpoint, startIndex=start)
    assert (page["totalResults"], page["itemsPerPage"], page["Resources"]) == (ENDPOINTS[endpoint], 0, [])


@pytest.mark.req("P-3.4.2.4-02", "P-3.4.2.1-01")
def test_pages_at_the_root_run_over_the_types(ask: Ask) -> None:
    """A walk over the root gives every user and every group once."""
    walked = [r["id"] for start in range(1, 12, 3) for r in ask("/", startIndex=start, count=3)["Resources"]]
    single = [r["id"] for e in ("/Users", "/Groups") for r in ask(e, count=5)["Resources"]]
    single += [r["id"] for r in ask("/Users", startIndex=6, count=5)["Resources"]]
    assert len(walked) == USERS + GROUPS
    assert set(walked) == set(single)


@pytest.mark.req("P-3.4.2.4-07")
def test_paging_keeps_no_state(client: Client, name: str) -> None:
    """The same request after an insert and a deletion gives the result of that moment, without error."""
    ids = [client.user(f"{n}-{name}")["id"] for n in (2, 4, 6)]

    def page() -> tuple[int, list[str]]:
        found = taken(client.search("/Users", f'userName ew "-{name}"', sortBy="userName", startIndex="2", count="2"))
        return found["totalResults"], [r["userName"][0] for r in found["Resources"]]

    assert page() == (3, ["4", "6"])
    client.user(f"1-{name}")
    assert page() == (4, ["2", "4"])
    assert client.delete(f"/Users/{ids[1]}").status_code == 204
    assert page() == (3, ["2", "6"])
