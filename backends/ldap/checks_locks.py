"""Whether a lock keeps a person out, judged by what can be read."""

from __future__ import annotations

from collections.abc import Iterator

from backends.base import Finding, State
from backends.ldap.checks_site import PASSWORD_POLICY, Site
from backends.ldap.drivers.base import Scope
from config.directory import Kind, Lock

WHAT = "lock"
_PROVE = "`landfall check --write` proves it with an account of its own"


def lock(site: Site) -> Iterator[Finding]:
    """What can be told of `active` without writing."""
    way = site.bindings.users.lock
    if way is Lock.NONE:
        yield no_lock()
    elif site.kind is not Kind.OPENLDAP:
        yield Finding(WHAT, State.OK, f"{way} works without any preparation; {_PROVE}")
    else:
        yield _openldap(site, way)


def no_lock() -> Finding:
    """The bindings name no lock."""
    text = "`active` locks nothing, as the bindings say: whoever is deactivated can still sign in with the directory"
    return Finding(WHAT, State.WARNING, text, "Set lock in [users] of the bindings file.")


def _openldap(site: Site, way: Lock) -> Finding:
    if site.setup.no_policies or not site.announces(PASSWORD_POLICY):
        return nothing_locks(site, "the overlay ppolicy is not there")
    policies = _policies(site)
    default = site.setup.password_policy
    if default == "":
        return nothing_locks(site, "the overlay ppolicy has no policy for everyone (olcPPolicyDefault)")
    if default is not None:
        policies = {name: locks for name, locks in policies.items() if name.lower() == default.lower()}
    if not policies:
        text = f"it can't be read whether a password policy applies to users and locks: {_PROVE}"
        return Finding(WHAT, State.WARNING, text)
    locking = [name for name, locks in policies.items() if locks or way is Lock.PWD_END_TIME]
    if not locking:
        return nothing_locks(site, f"pwdLockout is not TRUE in {', '.join(policies)}", next(iter(policies)))
    if default is None:
        text = f"the policy {', '.join(locking)} locks, if the overlay ppolicy is there and applies it: {_PROVE}"
        return Finding(WHAT, State.WARNING, text)
    return Finding(WHAT, State.OK, f"the policy for everyone locks: {default}; {_PROVE}")


def nothing_locks(site: Site, why: str, policy: str | None = None) -> Finding:
    """The attribute is stored and does nothing."""
    attribute = "pwdEndTime" if site.bindings.users.lock is Lock.PWD_END_TIME else "pwdAccountLockedTime"
    text = f"{why}: {attribute} is stored and locks nothing, and whoever is deactivated can still sign in"
    return Finding(WHAT, State.FAULT, text, site.mending.lock(policy))


def not_locking(site: Site) -> Finding:
    """An account signed in although it was locked: why, as far as can be told."""
    if site.kind is Kind.OPENLDAP:
        read = _openldap(site, site.bindings.users.lock)
        if read.state is State.FAULT:
            return Finding(WHAT, State.FAULT, f"a locked account signed in. {read.text}", read.mend)
        text = (
            "a locked account signed in: no password policy applies to it, or the one that does has not pwdLockout TRUE"
        )
        return Finding(WHAT, State.FAULT, text, site.mending.lock(None))
    text = f"a locked account signed in: {site.bindings.users.lock} is stored and locks nothing on this server"
    return Finding(WHAT, State.FAULT, text)


def _policies(site: Site) -> dict[str, bool]:
    """The policies that the account sees, and whether each locks."""
    found = {}
    for context in site.root.get("namingcontexts", ()):
        for entry in site.seen(context.decode(), Scope.SUBTREE, "(objectClass=pwdPolicy)", ("pwdLockout",)):
            found[entry.dn] = (entry.first("pwdlockout") or b"").upper() == b"TRUE"
    return found
