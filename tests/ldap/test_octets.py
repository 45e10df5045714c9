"""Requests and responses as octets, compared with ldap3's own ASN.1 and with the text of the RFCs."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ldap3.operation.search import compile_filter, parse_filter
from ldap3.protocol.rfc4511 import AttributeValue, LDAPMessage, PartialAttribute, SearchResultEntry
from ldap3.utils.asn1 import encode as asn1_encode
from pyasn1.codec.ber import decoder

from backends.ldap.drivers import ber, messages
from backends.ldap.drivers.base import LdapError, Modification, Only, Operation, Scope, Search, SortKey
from backends.ldap.drivers.controls import ASSERTION, PAGING, SORTED, entry_at, found, of_search, of_write
from backends.ldap.drivers.rfc4515 import encode

ATTRIBUTES = st.sampled_from(["cn", "userCertificate;binary", "1.2.3.4", "memberOf"])
# A value as a caller writes it: each octet that is not plain ASCII as an escape.
VALUES = st.binary(min_size=1, max_size=12).map(
    lambda octets: "".join(chr(o) if chr(o).isalnum() and o < 128 else f"\\{o:02x}" for o in octets)
)
ITEMS = st.one_of(
    st.builds("({}{}{})".format, ATTRIBUTES, st.sampled_from(["=", ">=", "<=", "~="]), VALUES),
    st.builds("({}=*)".format, ATTRIBUTES),
    st.builds("({}={}*{}*{})".format, ATTRIBUTES, VALUES, VALUES, VALUES),
    st.builds("({}=*{}*)".format, ATTRIBUTES, VALUES),
    st.builds("({}:caseExactMatch:={})".format, st.sampled_from(["cn", "cn:dn", ":dn", ""]), VALUES),
)
FILTERS = st.recursive(
    ITEMS,
    lambda inner: st.one_of(
        st.builds("(!{})".format, inner),
        st.builds("(&{})".format, st.lists(inner, min_size=1, max_size=3).map("".join)),
        st.builds("(|{})".format, st.lists(inner, min_size=1, max_size=3).map("".join)),
    ),
    max_leaves=8,
)


@given(text=FILTERS)
def test_a_filter_is_encoded_as_by_ldap3(text: str) -> None:
    node = parse_filter(text, None, False, False, None, False).elements[0]
    assert encode(text) == bytes(asn1_encode(compile_filter(node)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("(cn= a b )", b"\xa3\x0b\x04\x02cn\x04\x05 a b ", id="spaces"),
        pytest.param("(cn=\\00\\ff\\2a\\28)", b"\xa3\x0a\x04\x02cn\x04\x04\x00\xff*(", id="octets"),
        pytest.param("(cn=Lučić)", b"\xa3\x0d\x04\x02cn\x04\x07Lu\xc4\x8di\xc4\x87", id="rfc4515-utf8"),
        pytest.param("(cn=)", b"\xa3\x06\x04\x02cn\x04\x00", id="empty"),
        pytest.param("(cn=a=b)", b"\xa3\x09\x04\x02cn\x04\x03a=b", id="equals-sign"),
        pytest.param("(cn=*\\2a*)", b"\xa4\x09\x04\x02cn\x30\x03\x81\x01*", id="literal-star"),
        pytest.param("(cn=*)", b"\x87\x02cn", id="present"),
        pytest.param("(&)", b"\xa0\x00", id="rfc4526-true"),
        pytest.param("(|)", b"\xa1\x00", id="rfc4526-false"),
        pytest.param("(cn:dn:2.4.6:=x)", b"\xa9\x11\x81\x052.4.6\x82\x02cn\x83\x01x\x84\x01\xff", id="extensible"),
    ],
)
def test_octets_of_filters(text: str, expected: bytes) -> None:
    assert encode(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cn=a",
        "(cn=a",
        "(cn=a))",
        "(cn=a)(cn=b)",
        "(cn)",
        "(=a)",
        "(cn=a\\)",
        "(cn=a\\zz)",
        "(cn=\\1)",
        "(!(cn=a)(cn=b))",
        "(!)",
        "(cn=(a)",
        "(& (cn=a))",
        "(c n=a)",
        "(:=a)",
        "(cn:a:b:c:=d)",
        "(cn:dn>=d)",
    ],
)
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="filter"):
        encode(text)


def test_filters_nest_as_deep_as_they_like() -> None:
    assert len(encode("(!" * 5000 + "(cn=a)" + ")" * 5000)) > 5000


@given(
    dn=st.text(st.characters(codec="utf-8"), max_size=40),
    attributes=st.dictionaries(
        st.sampled_from(["cn", "memberOf", "member;range=0-1499", "jpegPhoto"]),
        st.lists(st.binary(max_size=300), min_size=1, max_size=5),
        max_size=4,
    ),
)
def test_an_entry_is_read_as_an_independent_encoder_wrote_it(dn: str, attributes: dict[str, list[bytes]]) -> None:
    response = SearchResultEntry()
    response["object"] = dn
    for position, (name, values) in enumerate(attributes.items()):
        attribute = PartialAttribute()
        attribute["type"] = name
        for place, value in enumerate(values):
            attribute["vals"][place] = AttributeValue(value)
        response["attributes"][position] = attribute
    entry = entry_at(bytes(asn1_encode(response)), 0)
    assert entry.dn == dn
    # A SET OF may be written in any order.
    assert {name: sorted(values) for name, values in entry.attributes.items()} == {
        name.lower(): sorted(values) for name, values in attributes.items()
    }


REQUESTS = [
    pytest.param(
        messages.search(Search("dc=x", Scope.SUBTREE, "(cn=a)", ("cn", "1.1"), size_limit=300, types_only=True)),
        "searchRequest",
        id="search",
    ),
    pytest.param(messages.compare("dc=x", "cn", b"\xff\x00"), "compareRequest", id="compare"),
    pytest.param(messages.add("dc=x", {"cn": [b"a" * 200, b"b"]}), "addRequest", id="add"),
    pytest.param(
        messages.modify("dc=x", [Modification(Operation.REPLACE, "cn", (b"a",)), Modification(Operation.DELETE, "sn")]),
        "modifyRequest",
        id="modify",
    ),
    pytest.param(messages.rename("dc=x", "dc=y", None, keep_old=False), "modDNRequest", id="rename"),
    pytest.param(messages.rename("dc=x", "dc=y", "dc=z", keep_old=True), "modDNRequest", id="move"),
    pytest.param(messages.delete("dc=x"), "delRequest", id="delete"),
    pytest.param(messages.set_password("dc=x", "päss"), "extendedReq", id="password"),
]


@pytest.mark.parametrize(("request_octets", "operation"), REQUESTS)
def test_a_request_is_read_by_an_independent_decoder(request_octets: bytes, operation: str) -> None:
    listed = of_write("(cn=a)", ["entryUUID"])
    message, rest = decoder.decode(messages.message(70000, request_octets, listed), asn1Spec=LDAPMessage())
    assert rest == b""
    assert int(message["messageID"]) == 70000
    assert message["protocolOp"].getName() == operation
    assert [(str(c["controlType"]), bool(c["criticality"])) for c in message["controls"]] == [
        (control.oid, True) for control in listed
    ]
    # Nothing is left out: what ldap3 read it writes with the same octets, apart from what is optional.
    assert bytes(asn1_encode(message["protocolOp"])) == request_octets


@pytest.mark.parametrize("cut", range(1, 30))
def test_an_entry_that_is_cut_short_is_malformed(cut: int) -> None:
    whole = bytes.fromhex(
        "641e 0404 64633d78 3016 3014 0402 636e 310e 0404 61626364 0406 313233343536".replace(" ", "")
    )
    assert entry_at(whole, 0).attributes == {"cn": [b"abcd", b"123456"]}
    with pytest.raises((ber.Malformed, IndexError)):
        entry_at(whole[:-cut], 0)


@pytest.mark.parametrize("octets", [b"\x30\x80", b"\x30\xff" + bytes(200), b"\x30\x89" + bytes(20)])
def test_a_length_that_ldap_forbids_is_malformed(octets: bytes) -> None:
    with pytest.raises(ber.Malformed):
        ber.size_at(octets, 0)


def test_controls_of_a_search_are_critical_and_as_in_their_rfcs() -> None:
    search = Search(
        "dc=x",
        Scope.ONE,
        "(cn=a)",
        ("cn", "sn"),
        page=100,
        cookie=b"\x00k",
        sort=SortKey("sn", True),
        only=Only("cn", (b"a", b"b")),
    )
    assert [(control.oid, control.value) for control in of_search(search)] == [
        (PAGING, bytes.fromhex("3007 020164 0402 006b".replace(" ", ""))),
        ("1.2.840.113556.1.4.473", bytes.fromhex("3009 3007 0402 736e 8101 ff".replace(" ", ""))),
        (
            "1.2.826.0.1.3344810.2.3",
            bytes.fromhex("3016 a307 0402636e 040161 a307 0402636e 040162 8702 736e".replace(" ", "")),
        ),
    ]
    assert of_write("(cn=a)", ())[0].oid == ASSERTION


def test_a_sort_that_failed_is_an_error_although_the_search_succeeded() -> None:
    search = Search("dc=x", Scope.ONE, "(cn=a)", (), sort=SortKey("nosuch"))
    with pytest.raises(LdapError) as failed:
        found(search, [], 0, {SORTED: bytes.fromhex("30030a0110")})
    assert failed.value.code == 16


def test_no_octet_of_a_value_can_leave_it() -> None:
    """Every octet, escaped as RFC 4515 says, is one octet of the value and nothing else."""
    escaped = "".join(f"\\{octet:02X}" for octet in range(256))
    match = re.fullmatch(rb"\xa3\x82..\x04\x02cn\x04\x82\x01\x00(.*)", encode(f"(cn={escaped})"), re.DOTALL)
    assert match is not None
    assert match[1] == bytes(range(256))
