"""Whether users can be retired, whether those that are can't sign in, and who else is where they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from app.scim.query import Change, ResourceId
from backends.base import Capability, Finding, State
from backends.ldap import dn
from backends.ldap.checks_site import Site
from backends.ldap.drivers.base import LdapError, Scope
from backends.ldap.filters import ALL
from backends.ldap.locks import LOCKS
from backends.ldap.record import Record

WHAT, OTHERS = "retiring", "among the retired"
_SHOWN = 5
_LOOKED_AT = 10_000

SignIn = Callable[[str], str | None]
"""What the server answers when the entry of that DN signs in with the password of the sample user, None when it lets
that in."""


def retired(site: Site) -> Iterator[Finding]:
    """What can be told without writing."""
    base = site.bindings.users.retired
    if base is None or Capability.RETIRE not in site.backend.capabilities:
        yield Finding(WHAT, State.OK, "users can't be retired, for the bindings name no place for them (users.retired)")
        return
    yield from _others(site, base)
    open_ones = _unlocked(site, base)
    if open_ones:
        text = f"among the retired users are some that are not locked and can sign in: {_named(open_ones)}"
        yield Finding(WHAT, State.WARNING, text, "Lock them, or move them to where users are.")
        return
    yield Finding(
        WHAT, State.OK, f"retired users are kept below {base}; `landfall check --write` retires one of its own"
    )


def prove(site: Site, id: ResourceId, sign_in: SignIn | None) -> Finding:
    """Retire a user and restore it, and with `sign_in` try to sign in as it. Raises StoreError, LdapError; the user may
    be retired then."""
    base = site.bindings.users.retired or ""
    site.backend.retire("User", id)
    (name,) = shelved(site, id)
    refused = sign_in is None or sign_in(name) is not None
    site.backend.restore("User", id, Change())
    entry = site.users.by_id(id, ())
    if not refused:
        return Finding(WHAT, State.FAULT, f"a user who was retired, below {base}, could still sign in")
    if sign_in is not None and (refusal := sign_in(entry.dn)) is not None:
        return Finding(WHAT, State.FAULT, f"a user who was retired and restored can't sign in any more: {refusal}")
    proof = "" if sign_in is None else ", and could sign in again afterwards only"
    return Finding(WHAT, State.OK, f"a user was retired, to {base}, and came back{proof}")


def refused(site: Site, why: str) -> Finding:
    """A user could not be retired or restored."""
    text = f"a user can't be retired, below {site.bindings.users.retired}, and restored: {why}"
    return Finding(WHAT, State.FAULT, text, site.mending.rights())


def shelved(site: Site, id: ResourceId) -> list[str]:
    """The DN of a retired user; none where it is not retired, or that can't be read."""
    base, filter = site.bindings.users.retired, site.users.server.id_filter(id)
    if base is None or filter is None:
        return []
    return [entry.dn for entry in site.seen(base, Scope.SUBTREE, filter, ("1.1",))]


def _others(site: Site, base: str) -> Iterator[Finding]:
    """Entries below the base that were not retired by this service; of very many only the first are looked at."""
    record = site.bindings.users.record
    if record is None:
        return
    try:
        entries = list(islice(site.users.all(ALL.filter, (record.lower(),), tops=(base,)), _LOOKED_AT + 1))
    except LdapError:
        return
    looked_at = entries[:_LOOKED_AT]
    others = sorted(e.dn for e in looked_at if Record.read(e.first(record.lower())).retired is None)
    if not others:
        return
    count = str(len(others)) if looked_at == entries else f"at least {len(others)}"
    text = f"entries below {base} that were not retired by Landfall, and are neither revived nor purged: {count}"
    yield Finding(OTHERS, State.WARNING, f"{text} ({_named(others)})", "Move them elsewhere, or leave them there.")


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")


def _unlocked(site: Site, base: str) -> list[str]:
    users = site.bindings.users
    filter = dn.all_of((users.filter, dn.none(LOCKS[users.lock].filter())))
    return sorted(entry.dn for entry in site.seen(base, Scope.SUBTREE, filter, ("1.1",)))
