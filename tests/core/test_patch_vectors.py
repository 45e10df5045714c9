"""Every PATCH vector of tests/vectors/cases.json on the core; the API's tests send the same ones over HTTP."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from app.scim.attributes import Attribute
from app.scim.errors import ScimError
from app.scim.patch.values import normal
from app.scim.registry import ResourceType
from tests.core.patch_helpers import REGISTRY, member_ids, run, slots_of

CASES = json.loads((Path(__file__).parent.parent / "vectors" / "cases.json").read_text("ascii"))["patchCases"]
# What is taken where a case leaves a choice, and why.
ALTERNATIVES = {"VP-060": "tolerated as a no-op"}


def _comparable(resource_type: ResourceType, document: Mapping[str, Any]) -> dict[str, Any]:
    def form(attribute: Attribute, value: Any) -> Any:
        if not attribute.multi_valued:
            return value
        return sorted(json.dumps(normal(attribute, v), sort_keys=True) for v in value)

    return {s: form(resource_type.slots[s], v) for s, v in slots_of(resource_type, document).items()}


def _observed(case: Mapping[str, Any]) -> dict[str, Any]:
    """The answer in the form of `expect`: an error, or the resource and whether it was modified."""
    resource_type = REGISTRY.type(case["resourceType"])
    before = slots_of(resource_type, case["before"])
    kept = copy.deepcopy(before)
    members = sorted(member_ids(case["before"]))
    try:
        outcome = run(resource_type, before, case["request"]["Operations"], members=members)
    except ScimError as error:
        assert before == kept
        name = type(error).__name__
        return {"scimType": name[0].lower() + name[1:]}
    assert before == kept
    values = {
        s: sorted(json.dumps(normal(resource_type.slots[s], e), sort_keys=True) for e in v)
        if resource_type.slots[s].multi_valued
        else v
        for s, v in outcome.values.items()
    }
    return {"values": values, "members": outcome.members, "modified": outcome.modified}


def _wanted(case: Mapping[str, Any], expect: Mapping[str, Any]) -> dict[str, Any]:
    if "scimType" in expect:
        return {"scimType": expect["scimType"]}
    resource_type = REGISTRY.type(case["resourceType"])
    return {
        "values": _comparable(resource_type, expect["after"]),
        "members": member_ids(expect["after"]),
        "modified": expect["modified"],
    }


@pytest.mark.req(
    "P-3.5.2-03", "P-3.5.2-04", "P-3.5.2-06", "P-3.5.2-07", "P-3.5.2-08", "P-3.5.2-09", "P-3.5.2-13", "P-3.5.2-14",
    "P-3.5.2-15", "P-3.5.2.1-01", "P-3.5.2.1-02", "P-3.5.2.1-03", "P-3.5.2.1-04", "P-3.5.2.1-05", "P-3.5.2.1-06",
    "P-3.5.2.1-07", "P-3.5.2.1-08", "P-3.5.2.1-09", "P-3.5.2.2-01", "P-3.5.2.2-02", "P-3.5.2.2-03",
    "P-3.5.2.2-04", "P-3.5.2.2-05", "P-3.5.2.2-06", "P-3.5.2.2-07", "P-3.5.2.3-01", "P-3.5.2.3-02",
    "P-3.5.2.3-03", "P-3.5.2.3-04", "P-3.5.2.3-05", "P-3.5.2.3-06", "P-3.5.2.3-07", "P-3.5.2.3-08",
)  # fmt: skip
@pytest.mark.parametrize(
    "case",
    CASES,
    ids=lambda c: f"{c['id']} {c['title']}" + (f" [{ALTERNATIVES[c['id']]}]" if c["id"] in ALTERNATIVES else ""),
)
def test_vector(case: Mapping[str, Any]) -> None:
    expect = case["expect"]
    if case["id"] in ALTERNATIVES:
        assert case["strength"] != "normative"
        (expect,) = (a for a in case["alternatives"] if a["why"] == ALTERNATIVES[case["id"]])
    assert _observed(case) == _wanted(case, expect)


def test_there_are_sixty_vectors() -> None:
    assert len({case["id"] for case in CASES}) == 60
