"""A User extension with every data type of RFC 7643 section 2.3, singular and multi-valued, so that a store is asked
about types that the standard schemas use nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.scim.registry import Registry, load

PROBE_SCHEMA = "urn:example:params:scim:schemas:extension:probe:2.0:User"

_PRIMARY = {"name": "primary", "type": "boolean"}

PROBE_DEFINITION: Mapping[str, Any] = {
    "id": PROBE_SCHEMA,
    "name": "Probe",
    "attributes": [
        {"name": "badgeCode", "caseExact": True},
        {"name": "hobby"},
        {"name": "level", "type": "integer"},
        {"name": "ratio", "type": "decimal"},
        {"name": "contractor", "type": "boolean"},
        {"name": "hired", "type": "dateTime"},
        {"name": "seal", "type": "binary"},
        {"name": "homepage", "type": "reference", "referenceTypes": ["external"]},
        {"name": "desk", "type": "complex", "subAttributes": [{"name": "room"}, {"name": "floor", "type": "integer"}]},
        {"name": "labels", "multiValued": True},
        {"name": "codes", "multiValued": True, "caseExact": True},
        {"name": "numbers", "type": "integer", "multiValued": True},
        {
            "name": "milestones",
            "type": "complex",
            "multiValued": True,
            "subAttributes": [
                {"name": "value"},
                {"name": "code", "caseExact": True},
                {"name": "at", "type": "dateTime"},
                {"name": "rank", "type": "integer"},
                {"name": "score", "type": "decimal"},
                {"name": "link", "type": "reference", "referenceTypes": ["external"]},
                _PRIMARY,
            ],
        },
    ],
}


def probed() -> Registry:
    """The standard resource types with the probe extension on User."""
    return load((PROBE_DEFINITION,))


def probe(name: str) -> str:
    """The path of a probe attribute."""
    return f"{PROBE_SCHEMA}:{name}"
