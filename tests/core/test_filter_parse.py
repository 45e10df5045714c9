"""The filter grammar (RFC 7644 Figure 1): what is parsed, into what, and what is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.scim.errors import InvalidFilter
from app.scim.filter.nodes import (
    AttrPath,
    Op,
    Parsed,
    ParsedAnd,
    ParsedCompare,
    ParsedNot,
    ParsedOr,
    ParsedPresent,
    ParsedValuePath,
)
from app.scim.filter.parse import DEFAULT_LIMITS, Limits, parse_attr_path, parse_filter

A, B, C, D = (ParsedPresent(AttrPath("", name)) for name in "abcd")


def compared(name: str, value: str | bool | float | None, op: Op = Op.EQ) -> ParsedCompare:
    return ParsedCompare(AttrPath("", name), op, value)


@pytest.mark.req("P-3.4.2.2-06", "P-3.4.2.2-07")
@pytest.mark.parametrize("op", list(Op))
def test_each_operator(op: Op) -> None:
    """Every operator compares a path with a value, in any case and with any white space between."""
    for text in (f'a {op} "x"', f'a {op.upper()} "x"', f' a\t{op.title()}\n"x" '):
        assert parse_filter(text) == compared("a", "x", op)
    assert parse_filter("a PR") == A


@pytest.mark.req("P-3.4.2.2-08")
@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("true", True),
        ("false", False),
        ("null", None),
        ("0", 0),
        ("-7", -7),
        ("1.50", 1.5),
        ("1e3", 1000.0),
        ("-0.5E-1", -0.05),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", float(2**63)),
        ('""', ""),
        ('"a b)(][ and \\"c\\""', 'a b)(][ and "c"'),
        ('"\\\\ \\/ \\n \\u00e9"', "\\ / \n é"),
        ('"\\ud83d\\udef0"', "🛰"),
        ('"it\'s"', "it's"),
        ('"山田"', "山田"),
    ],
)
def test_each_literal(literal: str, value: str | bool | float | None) -> None:
    """A value is what JSON says."""
    parsed = parse_filter(f"a eq {literal}")
    assert parsed == compared("a", value)
    assert isinstance(parsed, ParsedCompare)
    assert type(parsed.value) is type(value)


@pytest.mark.req("P-3.4.2.2-08")
@pytest.mark.parametrize(
    "literal",
    [
        "True",
        "NULL",
        "none",
        "'x'",
        "x",
        "01",
        "+1",
        "1.",
        ".5",
        "1e",
        "0x1",
        "1e400",
        "NaN",
        "-",
        "--1",
        "9" * 65,
        '"',
        '"a',
        '"\\x"',
        '"\\u12"',
        '"\\ud800"',
        '"a\nb"',
        '"\\u0000"',
        '"a"b',
        "“a”",
        "[]",
        "()",
        "{}",
    ],
)
def test_what_is_no_json_value(literal: str) -> None:
    """Single quotes, bare words, bad escapes, lone surrogates, NUL and malformed numbers are refused."""
    with pytest.raises(InvalidFilter):
        parse_filter(f"a eq {literal}")


@pytest.mark.req("P-3.4.2.2-10")
@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("userName", AttrPath("", "userName")),
        ("name.givenName", AttrPath("", "name", "givenName")),
        ("members.$ref", AttrPath("", "members", "$ref")),
        ("a-b_c1", AttrPath("", "a-b_c1")),
        ("urn:a:b:2.0:User:userName", AttrPath("urn:a:b:2.0:User", "userName")),
        ("urn:a:b:2.0:User:name.givenName", AttrPath("urn:a:b:2.0:User", "name", "givenName")),
        ("https://t.example/s:a", AttrPath("https://t.example/s", "a")),
    ],
)
def test_paths(text: str, path: AttrPath) -> None:
    """The URN ends at the last colon, and one dot sets off a sub-attribute; a path is written as it was read."""
    assert parse_attr_path(text) == path
    assert parse_filter(f"{text} pr") == ParsedPresent(path)
    assert str(path) == text


@pytest.mark.req("P-3.4.2.2-10")
@pytest.mark.parametrize(
    "text",
    ["", "1a", "a.", ".a", "a.b.c", "a..b", ":a", "urn:", "urn:a:", "1:a", "a b", "$x", "å", "a\n", "a.b\n", "a,b"],
)
def test_what_is_no_path(text: str) -> None:
    """Other forms are no path, alone and in a filter."""
    assert parse_attr_path(text) is None
    if text.strip() == text:
        with pytest.raises(InvalidFilter):
            parse_filter(f"{text} pr")


@pytest.mark.req("P-3.4.2.2-11", "P-3.4.2.2-12")
@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a pr or b pr and c pr", ParsedOr((A, ParsedAnd((B, C))))),
        ("a pr and b pr or c pr", ParsedOr((ParsedAnd((A, B)), C))),
        ("(a pr or b pr) and c pr", ParsedAnd((ParsedOr((A, B)), C))),
        ("a pr or b pr and c pr or d pr", ParsedOr((A, ParsedAnd((B, C)), D))),
        ("a pr AND b pr And c pr", ParsedAnd((A, B, C))),
        ("not (a pr) and b pr", ParsedAnd((ParsedNot(A), B))),
        ("not(a pr or b pr)", ParsedNot(ParsedOr((A, B)))),
        ("NOT (NOT (a pr))", ParsedNot(ParsedNot(A))),
        ("((a pr))", A),
        ("a pr and(b pr)", ParsedAnd((A, B))),
        ("(a pr)or(b pr)", ParsedOr((A, B))),
        ("not pr", ParsedPresent(AttrPath("", "not"))),
        ('and eq "or"', compared("and", "or")),
    ],
)
def test_precedence(text: str, tree: Parsed) -> None:
    """Groups bind tightest, then not, then and, then or."""
    assert parse_filter(text) == tree


@pytest.mark.req("P-3.4.2.2-09")
def test_value_paths() -> None:
    """Brackets hold a whole filter of their own, and may be followed by a sub-attribute in the clients' dialect."""
    emails = AttrPath("", "emails")
    work, x = compared("type", "work"), compared("value", "x", Op.CO)
    assert parse_filter('emails[type eq "work"]') == ParsedValuePath(emails, work)
    assert parse_filter('emails [ type eq "work" and value co "x" ]') == ParsedValuePath(emails, ParsedAnd((work, x)))
    assert parse_filter('emails[not (type eq "work") or value co "x"]') == ParsedValuePath(
        emails, ParsedOr((ParsedNot(work), x))
    )
    assert parse_filter('emails[type eq "work"].value co "x"') == ParsedValuePath(emails, work, x)
    assert parse_filter('emails[type eq "work"].value pr') == ParsedValuePath(
        emails, work, ParsedPresent(AttrPath("", "value"))
    )
    assert parse_filter('a pr and emails[type eq "work"] or b pr') == ParsedOr(
        (ParsedAnd((A, ParsedValuePath(emails, work))), B)
    )


@pytest.mark.req("P-3.4.2.2-04", "P-3.4.2.2-05", "P-3.4.2.2-06", "P-3.4.2.2-07", "P-3.4.2.2-09")
@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "a",
        "pr",
        "a eq",
        'eq "x"',
        'a pr "x"',
        'a eq "x" "y"',
        "a pr b pr",
        "a pr and",
        "or a pr",
        "a pr and or b pr",
        "a pr and and b pr",
        "(a pr",
        "a pr)",
        "()",
        "not",
        "not a pr",
        'not a eq "x"',
        "not ()",
        "a xx 1",
        "a = 1",
        "a[",
        "a[]",
        "a[b pr",
        "a]b pr[",
        "a[b[c pr]]",
        "a[b pr and c[d pr]]",
        "a[(b[c pr])]",
        "a[b pr].",
        "a[b pr].c",
        "a[b pr].c.d pr",
        "a[b pr] c pr",
        "a[b pr][c pr]",
        "a [b pr] .c d",
        'a eq"x',
    ],
)
def test_what_is_outside_the_grammar(text: str) -> None:
    """Everything else is InvalidFilter with a sentence of moderate length."""
    with pytest.raises(InvalidFilter) as raised:
        parse_filter(text)
    assert 0 < len(raised.value.detail) < 200


@pytest.mark.req("P-3.4.2.2-07")
def test_the_operator_is_named() -> None:
    """The detail names an unknown operator, cut when it is long."""
    with pytest.raises(InvalidFilter, match="'regex' is not an operator"):
        parse_filter('a regex "x"')
    with pytest.raises(InvalidFilter) as raised:
        parse_filter("a " + "z" * 5000 + " 1")
    assert len(raised.value.detail) < 100


@pytest.mark.req("P-3.4.2.2-13")
def test_limits_hold_exactly() -> None:
    """What reaches a limit is parsed and what exceeds it by one is refused."""
    limits = Limits(length=40, depth=3, terms=4)
    for fits, exceeds in (
        ("a eq " + f'"{"x" * 33}"', "a eq " + f'"{"x" * 34}"'),
        ("(((a pr)))", "((((a pr))))"),
        ("not (not (not (a pr)))", "not(not(not(not(a pr))))"),
        ("((a[b pr]))", "(((a[b pr])))"),
        ("a pr or a pr or a pr or a pr", "a pr or a pr or a pr or a pr or a pr"),
        ("a[b pr or b pr].c pr or a pr", "a[b pr or b pr or b pr].c pr or a pr"),
    ):
        parse_filter(fits, limits)
        with pytest.raises(InvalidFilter, match=r"longer|deeper|more than"):
            parse_filter(exceeds, limits)
    # Depth is where one stands, not how many groups there were.
    assert parse_filter("(a pr) or (b pr)", Limits(depth=1)) == ParsedOr((A, B))


@pytest.mark.req("P-3.4.2.2-13")
@pytest.mark.parametrize(
    "text",
    [
        "(" * 4000 + "a pr" + ")" * 4000,
        "not(" * 2000,
        "a[" * 4000,
        '"' * 8191,
        "\\" * 8000,
        'a eq "' + "\\" * 8000,
        "a eq " + "9" * 8000,
        "a.b" * 2700,
        "urn:" * 2000,
        " " * 8192,
        "a pr or " * 1000 + "a pr",
        'a eq "x" and ' * 600 + "b",
    ],
)
def test_hostile_filters_end_at_once(text: str) -> None:
    """Repetition of anything within the limit of length is refused, without exhausting the stack."""
    assert len(text) <= DEFAULT_LIMITS.length
    with pytest.raises(InvalidFilter):
        parse_filter(text)


_PIECES = st.sampled_from(
    [
        "a",
        "name.b",
        "urn:x:2.0:User:c",
        "$ref",
        "pr",
        "eq",
        "ne",
        "co",
        "gt",
        "and",
        "or",
        "not",
        "(",
        ")",
        "[",
        "]",
        ".",
        ":",
        "true",
        "null",
        "7",
        "-1.5",
        "1e9",
        '"x"',
        '"',
        "\\",
        "'",
        "é",
        "\x00",
        "\u2028",
    ]
)


@given(st.one_of(st.text(), st.lists(_PIECES).map(" ".join), st.lists(_PIECES).map("".join)))
def test_any_text_is_parsed_or_is_an_invalid_filter(text: str) -> None:
    """No text makes the parser raise anything else."""
    try:
        parse_filter(text)
    except InvalidFilter as error:
        assert error.detail


_NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,8}", fullmatch=True)
_PATHS = st.builds(AttrPath, st.sampled_from(("", "urn:a:2.0:User", "https://t.example/x")), _NAMES, st.none() | _NAMES)
_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
)
_TESTS = st.one_of(st.builds(ParsedPresent, _PATHS), st.builds(ParsedCompare, _PATHS, st.sampled_from(Op), _VALUES))


def _extended(inner: st.SearchStrategy[Parsed]) -> st.SearchStrategy[Parsed]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(st.builds(ParsedNot, inner), st.builds(ParsedAnd, several), st.builds(ParsedOr, several))


_INNER = st.recursive(_TESTS, _extended, max_leaves=4)
_TREES = st.recursive(st.one_of(_TESTS, st.builds(ParsedValuePath, _PATHS, _INNER, st.none())), _extended, max_leaves=8)


def _written(tree: Parsed) -> str:
    """The tree as a filter, with every group in parentheses."""
    if isinstance(tree, ParsedPresent):
        return f"{tree.path} pr"
    if isinstance(tree, ParsedCompare):
        return f"{tree.path} {tree.op} {json.dumps(tree.value)}"
    if isinstance(tree, ParsedValuePath):
        return f"{tree.path}[{_written(tree.where)}]"
    if isinstance(tree, ParsedNot):
        return f"not ({_written(tree.item)})"
    word = " and " if isinstance(tree, ParsedAnd) else " or "
    return word.join(f"({_written(item)})" for item in tree.items)


@given(_TREES)
def test_a_written_tree_is_read_back(tree: Parsed) -> None:
    """Every tree that the grammar can express comes back from its text."""
    assert parse_filter(_written(tree)) == tree
