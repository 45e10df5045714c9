"""What a server's own configuration says of indexes, overlays and plug-ins, as far as the service account may read it.

OpenLDAP and 389 Directory Server keep it below cn=config, which service accounts can't read as a rule; Active Directory
keeps it in its schema and configuration partitions, which every account reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from backends.ldap import dn
from backends.ldap.drivers.base import Connection, Entry, Found, LdapError, Scope, Search
from backends.ldap.pool import Directory
from config.directory import Kind
from config.ldap_text import is_below

Attributes = Mapping[str, Sequence[bytes]]

_URI = re.compile(r"ldap:///(?P<base>[^?]*)\?(?P<attributes>[^?]*)(\?|$)", re.IGNORECASE)
_INDEXED = 0x1
_PAGE = "MaxPageSize="


@dataclass(frozen=True, slots=True)
class Setup:
    """What was read; None is what can't be. Attributes are in lower case.

    `database` is what keeps the entries, as mending commands name it. `indexed` has the attributes with an equality
    index, `unique` those whose values the server keeps unique. `referential` says which attributes lose a DN with its
    entry. `member_of` says whether the server keeps groups on users, `sorted` which attributes have sorted values,
    `hashes` whether a password in the clear is hashed. `password_policy` is the DN of the policy for everyone, "" where
    the overlay has none; `no_policies` is true where there is no such overlay. `page` is the most entries on a page.
    `limited` says that no limit is lifted for the service account.
    """

    database: str | None = None
    indexed: frozenset[str] | None = None
    unique: frozenset[str] | None = None
    referential: frozenset[str] | None = None
    member_of: bool | None = None
    sorted: frozenset[str] | None = None
    hashes: bool | None = None
    password_policy: str | None = None
    no_policies: bool | None = None
    page: int | None = None
    limited: bool | None = None


def read_setup(directory: Directory, kind: Kind, root: Attributes, base: str, attributes: Iterable[str]) -> Setup:
    """The setup of the part of the directory that has `base`; `attributes` are those whose indexes matter."""
    reader = _Reader(directory)
    if kind is Kind.OPENLDAP:
        return _openldap(reader, base, directory.access.bind_dn)
    if kind is Kind.DS389:
        return _ds389(reader, base)
    return _active_directory(reader, root, attributes)


class _Reader:
    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def entries(self, base: str, scope: Scope, filter: str, attributes: Sequence[str] = ("*",)) -> tuple[Entry, ...]:
        """What is found, and nothing where the account may not read."""
        search = Search(base, scope, filter, tuple(attributes))
        try:
            return self._directory.run(partial(_search, search=search), idempotent=True).entries
        except LdapError:
            return ()


def _openldap(reader: _Reader, base: str, bind_dn: str) -> Setup:
    entries = reader.entries(
        "cn=config", Scope.SUBTREE, "(|(objectClass=olcDatabaseConfig)(objectClass=olcOverlayConfig))"
    )
    databases = [e for e in entries if e.attributes.get("olcsuffix")]
    suffixes = [(text, e) for e in databases for text in _texts(e, "olcsuffix") if is_below(base, text)]
    if not suffixes:
        return Setup()
    _, database = max(suffixes, key=lambda pair: len(pair[0]))
    overlays = {
        _without_number(_texts(e, "olcoverlay")[0]): e
        for e in entries
        if e.attributes.get("olcoverlay") and dn.key(e.dn).endswith(dn.key(database.dn))
    }
    defaults = [e for e in entries if _without_number(next(iter(_texts(e, "olcdatabase")), "")) == "frontend"]
    policies = overlays.get("ppolicy")
    names = {text.lower() for text in _texts(database, "olcrootdn")}
    limits = [text.lower() for text in _texts(database, "olclimits")]
    sizes = [text for e in (*defaults, database) for text in _texts(e, "olcsizelimit")]
    lifted = bind_dn.lower() in names or any(bind_dn.lower() in text for text in limits)
    return Setup(
        database=database.dn,
        indexed=_olc_indexes(_texts(database, "olcdbindex")),
        unique=_olc_unique(overlays.get("unique"), base),
        referential=_words(overlays.get("refint"), "olcrefintattribute"),
        member_of="memberof" in overlays or "dynlist" in overlays,
        sorted=frozenset(
            w.lower() for e in (*defaults, database) for text in _texts(e, "olcsortvals") for w in text.split()
        ),
        hashes=policies is not None and _texts(policies, "olcppolicyhashcleartext") == ["TRUE"],
        password_policy=next(iter(_texts(policies, "olcppolicydefault")), "") if policies else None,
        no_policies=policies is None,
        limited=not lifted and "unlimited" not in sizes and "-1" not in sizes,
    )


def _olc_indexes(values: Iterable[str]) -> frozenset[str]:
    found: set[str] = set()
    standard: list[str] = []
    for value in values:
        names, _, kinds = value.partition(" ")
        asked = [kind for kind in re.split(r"[,\s]+", kinds) if kind] or standard
        if names == "default":
            standard = asked
        elif "eq" in asked:
            found.update(name.lower() for name in names.split(","))
    return frozenset(found)


def _olc_unique(overlay: Entry | None, base: str) -> frozenset[str]:
    if overlay is None:
        return frozenset()
    found = set(_words(overlay, "olcuniqueattribute"))
    for text in _texts(overlay, "olcuniqueuri"):
        for uri in text.split():
            match = _URI.match(uri)
            if match and (not match["base"] or is_below(base, match["base"])):
                found.update(name.lower() for name in match["attributes"].split(",") if name)
    return frozenset(found)


def _ds389(reader: _Reader, base: str) -> Setup:
    ldbm = "cn=ldbm database,cn=plugins,cn=config"
    suffixes = [
        (text, entry)
        for entry in reader.entries(ldbm, Scope.ONE, "(objectClass=nsBackendInstance)", ("cn", "nsslapd-suffix"))
        for text in _texts(entry, "nsslapd-suffix")
        if is_below(base, text)
    ]
    plugins = reader.entries("cn=plugins,cn=config", Scope.SUBTREE, "(objectClass=nsSlapdPlugin)")
    database = max(suffixes, key=lambda pair: len(pair[0]))[1] if suffixes else None
    indexes = reader.entries(database.dn, Scope.SUBTREE, "(objectClass=nsIndex)") if database else ()
    return Setup(
        database=next(iter(_texts(database, "cn")), None) if database else None,
        indexed=frozenset(name.lower() for e in indexes if "eq" in _texts(e, "nsindextype") for name in _texts(e, "cn"))
        if indexes
        else None,
        unique=_ds_unique(plugins, base) if plugins else None,
        referential=_words_of(_enabled(plugins, "referint"), "referint-membership-attr") if plugins else None,
        member_of=bool(_enabled(plugins, "memberof")) if plugins else None,
    )


def _ds_unique(plugins: Iterable[Entry], base: str) -> frozenset[str]:
    found: set[str] = set()
    for entry in _enabled(plugins, "attr-unique"):
        subtrees = _texts(entry, "uniqueness-subtrees")
        if subtrees and not any(is_below(base, subtree) for subtree in subtrees):
            continue
        found.update(_words(entry, "uniqueness-attribute-name"))
        found.update(text.removeprefix("attribute=").lower() for text in _texts(entry, "nsslapd-pluginarg0"))
    return frozenset(found)


def _enabled(plugins: Iterable[Entry], library: str) -> list[Entry]:
    return [
        entry
        for entry in plugins
        if any(library in text for text in _texts(entry, "nsslapd-pluginpath"))
        and [text.lower() for text in _texts(entry, "nsslapd-pluginenabled")] == ["on"]
    ]


def _active_directory(reader: _Reader, root: Attributes, attributes: Iterable[str]) -> Setup:
    schema = root.get("schemanamingcontext", (b"",))[0].decode()
    wanted = dn.any_of(dn.equality("lDAPDisplayName", name) for name in attributes)
    found = reader.entries(schema, Scope.ONE, wanted, ("lDAPDisplayName", "searchFlags", "linkID")) if schema else ()
    indexed = {
        name.lower()
        for entry in found
        for name in _texts(entry, "ldapdisplayname")
        # A linked attribute is found by the link table, which is an index.
        if entry.attributes.get("linkid") or int(next(iter(_texts(entry, "searchflags")), "0")) & _INDEXED
    }
    configuration = root.get("configurationnamingcontext", (b"",))[0].decode()
    services = f"CN=Directory Service,CN=Windows NT,CN=Services,{configuration}"
    limits = reader.entries(services, Scope.SUBTREE, "(objectClass=queryPolicy)", ("lDAPAdminLimits",))
    pages = [t.removeprefix(_PAGE) for e in limits for t in _texts(e, "ldapadminlimits") if t.startswith(_PAGE)]
    return Setup(
        database=schema,
        indexed=frozenset(indexed | {"objectguid"}) if found else None,
        unique=frozenset(("userprincipalname", "samaccountname")),
        referential=frozenset(("member", "manager")),
        member_of=True,
        page=min((int(text) for text in pages if text.isdigit()), default=None),
    )


def _texts(entry: Entry, name: str) -> list[str]:
    return [value.decode("utf-8", "replace") for value in entry.attributes.get(name, ())]


def _words(entry: Entry | None, name: str) -> frozenset[str]:
    return frozenset(w.lower() for text in _texts(entry, name) for w in text.split()) if entry else frozenset()


def _words_of(entries: Iterable[Entry], name: str) -> frozenset[str]:
    return frozenset(word for entry in entries for word in _words(entry, name))


def _without_number(text: str) -> str:
    return re.sub(r"^\{-?\d+\}", "", text)


def _search(connection: Connection, search: Search) -> Found:
    return connection.search(search)
