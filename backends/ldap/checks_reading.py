"""Checks that only read: the kind of server, what the account sees, limits, indexes, and what the server looks
after."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from backends.base import Finding, State
from backends.ldap import dn, faults
from backends.ldap.branch import Branch
from backends.ldap.checks_connections import said
from backends.ldap.checks_site import ASSERTION, PAGING, POST_READ, SORTING, Site, searched
from backends.ldap.drivers.base import Entry, LdapError, Scope
from config.directory import Kind, MemberSyntax, Password

_PROBED = 3000
"""More entries than any kind of server gives an ordinary account by default."""
_USUAL = 500
"""The entries that OpenLDAP gives in one search unless it is told otherwise."""
_SAMPLE = 50
_LIMITS = ("nsSizeLimit", "nsLookThroughLimit", "nsIDListScanLimit")
_NAMES = {Kind.OPENLDAP: "OpenLDAP", Kind.DS389: "389 Directory Server", Kind.ACTIVE_DIRECTORY: "Active Directory"}
_ACTIVE_DIRECTORY = b"1.2.840.113556.1.4.800"
_RELEASE_OF_389 = re.compile(rb"389-Directory/(\d+)\.(\d+)\.(\d+)")
_KEEPS_WRITES = (2, 4, 5)
"""The first release of 389 Directory Server with the correction of its issue 5944."""


def server(site: Site) -> Iterator[Finding]:
    """The kind of server, and the controls that Landfall uses there."""
    kind = _kind(site)
    if kind is not None and kind is not site.kind:
        text = f'the server is {_NAMES[kind]}, and the bindings are for "{site.kind}"'
        mend = f'Start from the shipped bindings "{kind}": ids and locks are different.'
        yield Finding("kind", State.FAULT, text, mend)
        return
    wanted = [PAGING]
    server = site.users.server
    wanted += [ASSERTION] if server.assertion else []
    wanted += [POST_READ] if server.post_read else []
    missing = [oid for oid in wanted if not site.announces(oid)]
    if missing:
        yield Finding(
            "controls",
            State.FAULT,
            f"the server does not announce {', '.join(missing)} in its root DSE",
            "See whether the account may read the root DSE, and whether the server is what `kind` says:\n"
            "ldapsearch -x -H ldaps://SERVER -s base -b '' supportedControl vendorName vendorVersion",
        )
        return
    yield Finding("kind", State.OK, f"{_NAMES[site.kind]} with all controls that are needed")
    yield from _release(site)
    if site.announces(SORTING):
        yield Finding("sorting", State.OK, "the server sorts where there are more entries than ldap.candidates")
    else:
        text = "the server does not sort: sorted searches that find more entries than ldap.candidates are refused"
        yield Finding("sorting", State.OK, text, site.mending.sorting())


def _release(site: Site) -> Iterator[Finding]:
    """Whether the release is known to lose writes."""
    for version in site.root.get("vendorversion", ()):
        found = _RELEASE_OF_389.match(version)
        if found is not None and tuple(map(int, found.groups())) < _KEEPS_WRITES:
            text = (
                f"389 Directory Server {b'.'.join(found.groups()).decode()} may lose a write, whoever makes it, when "
                "it refuses another one at the same moment"
            )
            mend = (
                "Update the server to 2.4.5 or later, or ask your distribution whether its package has the correction "
                "of https://github.com/389ds/389-ds-base/issues/5944 (December 2023)."
            )
            yield Finding("release", State.WARNING, text, mend)


def _kind(site: Site) -> Kind | None:
    if _ACTIVE_DIRECTORY in site.root.get("supportedcapabilities", ()):
        return Kind.ACTIVE_DIRECTORY
    if any(b"389" in value for value in site.root.get("vendorname", ())):
        return Kind.DS389
    if b"OpenLDAProotDSE" in site.root.get("objectclass", ()):
        return Kind.OPENLDAP
    return None


def entries(site: Site) -> Iterator[Finding]:
    """What the account sees below both bases, and how many of them it is given."""
    for what, branch in (("users", site.users), ("groups", site.groups)):
        yield from _below(site, what, branch)
        if site.kind is Kind.ACTIVE_DIRECTORY:
            yield from _may_create(site, what, branch)


def _below(site: Site, what: str, branch: Branch) -> Iterator[Finding]:
    wanted = branch.entries.everything
    try:
        sample = list(islice(branch.all("(objectClass=*)", wanted), _SAMPLE))
        count = sum(1 for _ in islice(branch.all("(objectClass=*)", ("1.1",)), _PROBED))
    except LdapError as error:
        yield _refused(site, what, branch, error)
        return
    if not sample:
        base = branch.bindings.base
        text = f"the account sees no entry below {base} that satisfies {what}.filter: fine while there is none"
        yield Finding(what, State.OK, text)
        return
    blind = sorted(_blind(branch, sample))
    if blind:
        text = f"the account can't read {', '.join(blind)} of any entry below {branch.bindings.base}"
        yield Finding(what, State.FAULT, text, _version_hint(site, branch, blind) or site.mending.rights())
        return
    shown = f"{count} or more" if count == _PROBED else str(count)
    yield Finding(what, State.OK, f"{shown} below {branch.bindings.base}")


def _blind(branch: Branch, sample: list[Entry]) -> set[str]:
    """Attributes that every entry has and none of these shows."""
    needed = {*branch.entries.stamps, branch.bindings.rdn.lower()}
    needed |= {attribute.lower() for attribute in branch.bindings.derived}
    return {name for name in needed if not any(name in entry.attributes for entry in sample)}


def _version_hint(site: Site, branch: Branch, blind: list[str]) -> str:
    version = branch.bindings.version
    if blind != [version.lower()]:
        return ""
    if site.kind is Kind.DS389:
        return (
            "Switch the USN plug-in on: entries get the attribute when they are next written.\n"
            "dsconf INSTANCE plugin usn enable\ndsctl INSTANCE restart\n"
            'Or set version = "content" in the bindings file.'
        )
    return f'Let the account read {version}, or set version = "content" in the bindings file.'


def _refused(site: Site, what: str, branch: Branch, error: LdapError) -> Finding:
    base = branch.bindings.base
    if error.code in (faults.SIZE_LIMIT, faults.ADMIN_LIMIT, faults.TIME_LIMIT):
        text = f"the server stops a search below {base} before its end, at a limit of the account: {said(error)}"
        return Finding(what, State.FAULT, text, site.mending.limits())
    return Finding(what, State.FAULT, f"a search below {base} is refused: {said(error)}", site.mending.rights())


def limits(site: Site) -> Iterator[Finding]:
    """Whether the server gives the account as many entries as there are."""
    if site.kind is Kind.ACTIVE_DIRECTORY or site.setup.limited is False:
        # Pages lift the limits of Active Directory.
        yield Finding("limits", State.OK, "no limit keeps the account from reading all entries")
        return
    own: tuple[Entry, ...] = ()
    if site.kind is Kind.DS389:
        name = site.directory.access.bind_dn
        own = site.seen(name, Scope.BASE, "(objectClass=*)", _LIMITS)
        if own and all(own[0].first(limit.lower()) == b"-1" for limit in _LIMITS):
            yield Finding(
                "limits", State.OK, "the account has no limits of searches (nsSizeLimit and the others are -1)"
            )
            return
    text = "no limit of searches is lifted for the account: with more entries the server may stop before the end"
    if site.kind is Kind.DS389 and not own:
        text = "the account can't read its own limits of searches (nsSizeLimit and the others): see that they are -1"
    if site.kind is Kind.OPENLDAP and site.setup.limited is None:
        if sum(1 for _ in islice(site.users.all("(objectClass=*)", ("1.1",)), _USUAL + 1)) > _USUAL:
            yield Finding("limits", State.OK, f"the account is given more than {_USUAL} entries")
            return
        text = f"olcLimits can't be read: without them the server stops a search after {_USUAL} entries"
    yield Finding("limits", State.WARNING, text, site.mending.limits())


def _may_create(site: Site, what: str, branch: Branch) -> Iterator[Finding]:
    """Active Directory tells the rights of an account as attributes."""
    child = branch.bindings.object_classes[-1]
    found = site.seen(branch.bindings.base, Scope.BASE, "(objectClass=*)", ("allowedChildClassesEffective",))
    allowed = {v.decode().lower() for e in found for v in e.attributes.get("allowedchildclasseseffective", ())}
    if found and child.lower() not in allowed:
        text = f"the account may not create entries of class {child} below {branch.bindings.base}"
        yield Finding(f"rights on {what}", State.FAULT, text, site.mending.rights())


def indexes(site: Site) -> Iterator[Finding]:
    """Equality indexes on what entries are found by."""
    wanted = searched(site.bindings)
    if site.kind is Kind.OPENLDAP:
        # The others have one of their own on their ids.
        wanted = {"entryUUID": "id", **wanted}
    if site.setup.indexed is None:
        text = f"can't be read by the account. Equality indexes are needed on {', '.join(wanted)}"
        yield Finding("indexes", State.WARNING, text, site.mending.see_indexes())
        return
    missing = {name: why for name, why in wanted.items() if name.lower() not in site.setup.indexed}
    if missing:
        named = ", ".join(f"{name} ({why})" for name, why in missing.items())
        text = f"there is no equality index on {named}: each search reads all entries"
        yield Finding("indexes", State.WARNING, text, site.mending.index(list(missing)))
        return
    yield Finding("indexes", State.OK, f"for equality on {', '.join(wanted)}")


def page(site: Site, size: int) -> Iterator[Finding]:
    """The pages that are asked for, against those that Active Directory gives."""
    most = site.setup.page
    if most is None:
        return
    if size > most:
        text = f"the server gives {most} entries on a page, and {size} are asked for: that takes more requests"
        yield Finding("page size", State.OK, text)
    else:
        yield Finding("page size", State.OK, f"{size} entries are asked for at a time, and the server gives {most}")


def uniqueness(site: Site) -> Iterator[Finding]:
    """Whether the server itself refuses a second user of one name."""
    name = site.user_name
    if site.setup.unique is None:
        text = f"it can't be read whether the server keeps {name} unique: --write proves it"
        yield Finding("uniqueness", State.WARNING, text)
    elif name.lower() in site.setup.unique:
        yield Finding("uniqueness", State.OK, f"the server keeps {name} unique")
    else:
        yield not_unique(site)


def not_unique(site: Site) -> Finding:
    """The server takes two users of one name."""
    name = site.user_name
    text = (
        f"the server does not keep {name} unique: Landfall looks before it writes, and two requests at the same "
        "moment, or another program, can still give two users one name"
    )
    return Finding("uniqueness", State.WARNING, text, site.mending.unique(name))


def referential(site: Site) -> Iterator[Finding]:
    """Whether groups follow when a user's entry gets another DN or goes."""
    member = site.bindings.groups.member
    if site.bindings.groups.member_syntax is MemberSyntax.NAME:
        text = f"members are names: when a userName changes, {member} keeps the old one, and the person is in no group"
        yield Finding("referential integrity", State.WARNING, text)
    elif site.setup.referential is None:
        text = "it can't be read whether groups follow a user whose DN changes: --write proves it"
        yield Finding("referential integrity", State.WARNING, text)
    elif member.lower() in site.setup.referential:
        text = f"the server keeps {member} right when entries are renamed or deleted"
        yield Finding("referential integrity", State.OK, text)
    else:
        yield not_referential(site)


def not_referential(site: Site) -> Finding:
    """Groups keep the DN of an entry that something else than Landfall renames or deletes."""
    text = (
        f"{site.bindings.groups.member} of groups keeps the DN of a user whom another program renames or deletes: the "
        "user is in no group then, and someone who gets this DN later is in all of them"
    )
    return Finding("referential integrity", State.WARNING, text, site.mending.referential())


def member_of(site: Site) -> Iterator[Finding]:
    """Whether the attribute that the bindings name is there for users who are in a group."""
    bound = site.bindings.users.member_of
    kept = _member_of(site)
    if bound is None:
        if kept and site.kind is not Kind.OPENLDAP:
            yield spare_member_of(site)
        return
    if kept is None:
        text = f"no member of a group was found to see whether the server keeps {bound}: --write proves it"
        yield Finding("member_of", State.WARNING, text)
    elif kept:
        yield Finding("member_of", State.OK, f"the server keeps {bound} of users")
    else:
        yield no_member_of(site)


def spare_member_of(site: Site) -> Finding:
    """The server keeps the attribute, and nobody reads it."""
    text = "the server keeps memberOf of users: with it in the bindings the groups of users are found faster"
    return Finding("member_of", State.OK, text, 'Set member_of = "memberOf" in [users] of the bindings file.')


def no_member_of(site: Site) -> Finding:
    """The bindings rely on an attribute that is not kept."""
    bound = site.bindings.users.member_of
    text = f"{bound} of a user who is in a group does not name the group: users would be shown without groups"
    return Finding("member_of", State.FAULT, text, site.mending.member_of())


def _member_of(site: Site) -> bool | None:
    """What a member of some group shows, or what the setup says; None when neither is known."""
    member = site.bindings.groups.member
    name = site.bindings.users.member_of or "memberOf"
    if site.bindings.groups.member_syntax is MemberSyntax.DN:
        try:
            some = islice(site.groups.all(dn.presence(member), (f"{member};range=0-9", member)), 10)
            values = [v.decode() for e in some for vs in e.attributes.values() for v in vs[:10]]
        except LdapError:
            values = []
        for value in values[:20]:
            for entry in site.seen(value, Scope.BASE, site.bindings.users.filter, (name,)):
                return bool(entry.attributes.get(name.lower()))
    return site.setup.member_of


def sorted_members(site: Site) -> Iterator[Finding]:
    """OpenLDAP looks through all members for each new one, unless they are sorted."""
    if site.kind is not Kind.OPENLDAP:
        return
    member = site.bindings.groups.member
    if site.setup.sorted is None:
        text = f"it can't be read whether values of {member} are sorted; else groups of many thousands are slow"
        yield Finding("large groups", State.WARNING, text, site.mending.sorted_members())
    elif member.lower() in site.setup.sorted:
        yield Finding("large groups", State.OK, f"values of {member} are sorted")
    else:
        text = f"values of {member} are not sorted: changes of groups of many thousands are slow"
        yield Finding("large groups", State.WARNING, text, site.mending.sorted_members())


def password(site: Site) -> Iterator[Finding]:
    """Whether passwords are stored as a hash."""
    way = site.bindings.users.password
    if site.kind is not Kind.OPENLDAP or way is not Password.USER_PASSWORD:
        text = "passwords are refused" if way is Password.NONE else f"the server stores passwords its own way ({way})"
        yield Finding("password", State.OK, text)
    elif site.setup.hashes:
        yield Finding("password", State.OK, "the password policy overlay hashes what is written to userPassword")
    elif site.setup.hashes is None:
        text = "it can't be read whether userPassword is hashed; without olcPPolicyHashCleartext it is not"
        yield Finding("password", State.WARNING, text, site.mending.hashing())
    else:
        text = "what is written to userPassword is stored in clear text"
        yield Finding("password", State.FAULT, text, site.mending.hashing())
