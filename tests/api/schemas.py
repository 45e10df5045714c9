"""User extensions that only the API tests use: characteristics of no standard attribute, and the vectors' types."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.scim.registry import Registry, load

TRAITS = "urn:example:params:scim:schemas:extension:traits:2.0:User"

_TRAITS_DEFINITION: Mapping[str, Any] = {
    "id": TRAITS,
    "name": "Traits",
    "attributes": [
        {"name": "birthPlace", "mutability": "immutable"},
        {"name": "clearance", "returned": "request"},
        {"name": "realm", "returned": "always"},
        {"name": "computed", "mutability": "readOnly"},
        {"name": "plain"},
    ],
}

VECTORS: Mapping[str, Any] = json.loads(Path(__file__).parent.parent.joinpath("vectors", "cases.json").read_text())


def api_registry() -> Registry:
    """The standard resource types with the two extensions on User."""
    return load((_TRAITS_DEFINITION, *VECTORS["seed"]["extensionSchemas"]))
