"""Filling an empty database before it is measured."""

from __future__ import annotations

import json
from typing import Any

from tests.bench.cases import Population, group_document, user_document
from tests.bench.load import Connection, make_request

USERS = 1000
GROUPS = 50


def populate(port: int, token: str) -> Population:
    """Users and groups, created over HTTP."""
    connection = Connection(port)

    def created(endpoint: str, document: dict[str, Any]) -> dict[str, Any]:
        request = make_request("POST", f"/scim/v2{endpoint}", token, document)
        answer: dict[str, Any] = json.loads(connection.send(request, 201))
        return answer

    users = [created("/Users", user_document(number)) for number in range(USERS)]
    groups = [created("/Groups", group_document(number)) for number in range(GROUPS)]
    connection.close()
    return Population(token, [u["id"] for u in users], [u["userName"] for u in users], [g["id"] for g in groups])
