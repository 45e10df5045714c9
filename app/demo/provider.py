"""The identity provider's client: authenticated SCIM requests, each accounted for in the ledger."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any
from urllib.parse import quote

from app.demo.ledger import Ledger
from app.demo.people import Person, Team
from app.demo.wire import SCIM_JSON, Answer, Wire
from app.demo.wording import Operation, patch, query
from config.settings import SCIM_PATH


class Provider:
    """Speaks for one integration. `authorization` is the header that its token makes."""

    def __init__(self, wire: Wire, ledger: Ledger, authorization: str) -> None:
        self._wire = wire
        self._ledger = ledger
        self._authorization = authorization

    def get(self, path: str, *, wanted: Collection[int] = (200,), authorization: str | None = None) -> Answer:
        """GET, with another Authorization header where one is given."""
        headers = {"Accept": SCIM_JSON, "Authorization": authorization or self._authorization}
        return self._send("GET", path, headers, None, wanted)

    def post(self, path: str, document: dict[str, Any]) -> Answer:
        """POST, which has to create."""
        return self._send("POST", path, self._writing(), document, (201,))

    def patch(self, path: str, *operations: Operation, wanted: Collection[int]) -> Answer:
        """PATCH with operations."""
        return self._send("PATCH", path, self._writing(), patch(*operations), wanted)

    def delete(self, path: str, *, wanted: Collection[int] = (204,)) -> Answer:
        """DELETE."""
        return self._send("DELETE", path, {"Authorization": self._authorization}, None, wanted)

    def match_user(self, attribute: str, value: str) -> list[dict[str, Any]]:
        """The users that a match finds."""
        return self._matches(f"/Users?{query(attribute, value)}")

    def match_group(self, name: str) -> list[dict[str, Any]]:
        """The groups that a match finds, asked for without their members."""
        found = self._matches(f"/Groups?{query('displayName', name, members=False)}")
        self._ledger.check(not any("members" in group for group in found), f"members came back for {name}")
        return found

    def _matches(self, path: str) -> list[dict[str, Any]]:
        document = self.get(path).document
        found: list[dict[str, Any]] = document.get("Resources", [])
        total = document.get("totalResults")
        self._ledger.check(total == len(found), f"GET {path}: totalResults is {total} for {len(found)} resources")
        return found

    def _writing(self) -> dict[str, str]:
        return {
            "Accept": SCIM_JSON,
            "Authorization": self._authorization,
            "Content-Type": f"{SCIM_JSON}; charset=utf-8",
        }

    def _send(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        document: dict[str, Any] | None,
        wanted: Collection[int],
    ) -> Answer:
        body = None if document is None else json.dumps(document, ensure_ascii=False).encode()
        answer = self._wire.request(method, SCIM_PATH + path, headers, body)
        request = f"{method} {path}"
        self._ledger.answered(request, answer, wanted)
        if answer.document:
            good = answer.media_type == SCIM_JSON
            self._ledger.check(good, f"{request}: the media type is {answer.media_type or 'missing'}")
            self._ledger.check(not _has_blank(answer.document), f"{request}: the answer holds null or empty strings")
        return answer


def user_path(person: Person) -> str:
    """The path of a person's user."""
    return f"/Users/{quote(person.id, safe='')}"


def group_path(team: Team) -> str:
    """The path of a team's group."""
    return f"/Groups/{quote(team.id, safe='')}"


def _has_blank(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_blank, value.values()))
    if isinstance(value, list):
        return any(map(_has_blank, value))
    return value is None or value == ""
