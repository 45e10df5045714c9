"""Checks that write: a user and a group of their own go through all that Landfall does, and are removed again."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

from app.scim.query import Change, Delta, Draft, ResourceId, Slot, Value
from backends.base import Capability, Finding, State
from backends.errors import NotFound, Protected, ReadOnly, RejectedValue, StoreError
from backends.ldap import checks_locks, checks_reading, checks_retired, dn, faults
from backends.ldap.checks_connections import said
from backends.ldap.checks_samples import PREFIX, changed, group_draft, second_user, user_values
from backends.ldap.checks_site import Site
from backends.ldap.drivers.base import Attributes, Connection, ConnectionLost, LdapError, Scope
from backends.ldap.locks import random_password
from config.directory import Kind, Lock, MemberSyntax, Password

_SETTLES = 5.0
"""How long an overlay or plug-in may take to follow a change, in seconds."""
_ELSEWHERE = (faults.BUSY, faults.UNAVAILABLE)
_RIGHTS, _UNIQUENESS, _MEMBER_OF, _REFERENTIAL = "rights", "uniqueness", "member_of", "referential integrity"


class _Stopped(Exception):
    """A step failed on which the following ones depend; a finding says why."""


@dataclass(slots=True)
class _Made:
    """What there is now: the user, the group, and the DNs of all that may be left."""

    name: str
    user: ResourceId = ""
    group: ResourceId = ""
    password: str | None = None


class Rehearsal:
    """One run of all steps. Afterwards `findings` has what was found; nothing that it made is left, or a finding names
    it."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._token = secrets.token_hex(4)
        self._made = _Made(self._user_name(1))
        self._names = [self._made.name, self._user_name(2)]
        self._dns: set[str] = set()
        self.findings: list[Finding] = []

    def run(self) -> None:
        """Do everything and clean up, also after a failure or an interruption."""
        self._leftovers()
        try:
            # Reading back what was written has to be on the server that it was written to.
            with self._site.directory.pinned():
                self._steps()
        except _Stopped:
            pass
        except ConnectionLost as lost:
            self._found(_RIGHTS, State.FAULT, f"the connection was lost in the middle: {lost}")
        finally:
            self._clean()

    def _user_name(self, number: int) -> str:
        name = f"{PREFIX}{self._token}-{number}"
        return f"{name}@landfall.invalid" if self._site.kind is Kind.ACTIVE_DIRECTORY else name

    def _steps(self) -> None:
        self._create_user()
        self._read_back()
        self._lock()
        self._retire()
        self._change()
        self._create_group()
        self._member_of()
        self._rename()
        self._second_user()
        self._delete()
        if not any(f.what == _RIGHTS and f.state is State.FAULT for f in self.findings):
            self._found(_RIGHTS, State.OK, "a user and a group were created, read, changed, renamed and deleted")

    def _create_user(self) -> None:
        values = user_values(self._site.backend.registry.type("User"), self._made.name)
        password = None if self._site.bindings.users.password is Password.NONE else random_password()
        while not self._made.user:
            try:
                draft = Draft({**values, **({"password": password} if password else {})})
                self._made.user = self._site.backend.create("User", draft).id
            except RejectedValue as error:
                if error.attribute in values and error.attribute != "userName":
                    self._found(error.attribute, State.WARNING, f"a sample value is refused: {self._why(error)}")
                    del values[error.attribute]
                elif password is not None:
                    text = f"the password policy refuses a long random password: {self._why(error)}"
                    self._found("password", State.WARNING, text)
                    password = None
                else:
                    self._refused("a user can't be created", error)
            except StoreError as error:
                self._refused(f"a user can't be created below {self._site.bindings.users.base}", error)
        self._made.password = password
        self._remember()

    def _read_back(self) -> None:
        type = self._site.backend.registry.type("User")
        with self._step("the new user can't be read"):
            found = self._site.backend.get("User", self._made.user, frozenset(type.slots)).values
            wanted = user_values(type, self._made.name)
            reported = {f.what for f in self.findings}
            lost = sorted(s for s in wanted if s != "active" and s not in reported and found.get(s) != wanted[s])
            if lost:
                text = f"written and not read back: {', '.join(lost)}. The account may not read all that it may write"
                self._found(_RIGHTS, State.FAULT, text, self._site.mending.rights())

    def _lock(self) -> None:
        if self._site.bindings.users.lock is Lock.NONE:
            self.findings.append(checks_locks.no_lock())
            return
        if self._made.password is None:
            text = "it can't be proved that a lock holds, for no password can be set to sign in with"
            self._found(checks_locks.WHAT, State.WARNING, text)
            return
        refusal = self._sign_in()
        if refusal is not None:
            text = f"a new account can't sign in with its password, so that no lock can be proved: {refusal}"
            mend = "Let users sign in (OpenLDAP: `by anonymous auth` on userPassword), and try again."
            self._found(checks_locks.WHAT, State.FAULT, text, mend)
            return
        with self._step("a user can't be locked"):
            self._set_active(False)
            if self._sign_in() is None:
                self.findings.append(checks_locks.not_locking(self._site))
                return
        with self._step("a user can't be unlocked"):
            self._set_active(True)
            refusal = self._sign_in()
            if refusal is not None:
                text = f"an account that was locked and unlocked can't sign in any more: {refusal}"
                self._found(checks_locks.WHAT, State.FAULT, text)
                return
            way = self._site.bindings.users.lock
            text = f"{way}: an account was locked and its sign-in was refused; unlocked, it could sign in again"
            self._found(checks_locks.WHAT, State.OK, text)

    def _retire(self) -> None:
        if Capability.RETIRE not in self._site.backend.capabilities:
            return
        # Where the lock does not hold, or that could not be tried, nothing more is proved by signing in.
        locks = any(f.what == checks_locks.WHAT and f.state is State.OK for f in self.findings)
        try:
            found = checks_retired.prove(self._site, self._made.user, self._answer if locks else None)
            self.findings.append(found)
        except (StoreError, LdapError) as error:
            self._dns.update(checks_retired.shelved(self._site, self._made.user))
            self.findings.append(checks_retired.refused(self._site, self._why(error)))
            raise _Stopped from error

    def _set_active(self, active: bool) -> None:
        self._site.backend.update("User", self._made.user, Change({"active": active}))

    def _change(self) -> None:
        type = self._site.backend.registry.type("User")
        for slot, value in changed(user_values(type, self._made.name)).items():
            with self._step(f"{slot} of a user can't be changed"):
                self._update("User", self._made.user, {slot: value})

    def _create_group(self) -> None:
        backend = self._site.backend
        draft = group_draft(backend.registry.type("Group"), self._made.name)
        try:
            self._made.group = backend.create("Group", draft).id
            self._remember()
        except StoreError as error:
            self._refused(f"a group can't be created below {self._site.bindings.groups.base}", error)
        try:
            backend.update("Group", self._made.group, Change({}, {"members": Delta(add=(self._made.user,))}))
        except StoreError as error:
            self._refused("a member can't be added to a group", error)
        if not self._is_member():
            text = "a new member of a group is not read back"
            self._found(_RIGHTS, State.FAULT, text, self._site.mending.rights())
            raise _Stopped

    def _is_member(self) -> bool:
        pairs = self._site.backend.related("Group", [self._made.group], "members")
        return any(reference.id == self._made.user for _, reference in pairs)

    def _member_of(self) -> None:
        bound = self._site.bindings.users.member_of
        name = bound or "memberOf"

        def kept() -> bool:
            entry = self._site.users.by_id(self._made.user, (name,))
            return bool(entry.attributes.get(name.lower()))

        with self._step(f"{name} of a user can't be read"):
            if bound is None:
                if kept() and self._site.kind is not Kind.OPENLDAP:
                    self.findings.append(checks_reading.spare_member_of(self._site))
            elif _settled(kept):
                self._found(_MEMBER_OF, State.OK, f"the server keeps {bound} of users")
            else:
                self.findings.append(checks_reading.no_member_of(self._site))

    def _rename(self) -> None:
        name = self._names[1]
        with self._step("a user can't be renamed"):
            self._update("User", self._made.user, {"userName": name})
            self._made.name = name
            self._remember()
            if not self._is_member():
                self._found(_REFERENTIAL, State.FAULT, "a user who was renamed is in no group any more")

    def _second_user(self) -> None:
        second = second_user(self._site.users, self._made.name, f"lf-check-{self._token}2")
        if second is None:
            return
        name, attributes = second
        self._dns.add(name)
        try:
            self._write(partial(_add, name=name, attributes=attributes))
        except LdapError as error:
            if error.code in (faults.CONSTRAINT_VIOLATION, faults.ALREADY_EXISTS):
                text = f"the server refused a second user of one {self._site.user_name}"
                self._found(_UNIQUENESS, State.OK, text)
            else:
                text = f"whether the server keeps {self._site.user_name} unique could not be tried: {said(error)}"
                self._found(_UNIQUENESS, State.WARNING, text)
        else:
            self.findings.append(checks_reading.not_unique(self._site))

    def _delete(self) -> None:
        """The user goes as another program would delete it, the group as Landfall does."""
        entry = self._site.users.by_id(self._made.user, ())
        group = self._site.groups.by_id(self._made.group, ())
        member = self._site.bindings.groups.member
        self._removed(entry.dn)

        def gone() -> bool:
            return not self._site.search(group.dn, Scope.BASE, dn.equality(member, entry.dn), ("1.1",))

        if self._site.bindings.groups.member_syntax is MemberSyntax.DN and not _said(self.findings, _REFERENTIAL):
            if _settled(gone):
                text = f"{member} of a group lost a user whom another program deleted"
                self._found(_REFERENTIAL, State.OK, text)
            else:
                self.findings.append(checks_reading.not_referential(self._site))
        with self._step("a group can't be deleted"):
            self._site.backend.delete("Group", self._made.group)

    def _removed(self, name: str) -> None:
        try:
            self._write(partial(_delete, name=name))
        except LdapError as error:
            text = f"a user can't be deleted: {said(error)}"
            self._found(_RIGHTS, State.FAULT, text, self._site.mending.rights())
            raise _Stopped from error

    def _sign_in(self) -> str | None:
        """What the server answers when the user signs in: None when it lets the user in."""
        return self._answer(self._site.users.by_id(self._made.user, ()).dn)

    def _answer(self, name: str) -> str | None:
        directory = self._site.directory
        with directory.session() as session:
            address = session.address
        access = replace(directory.access, bind_dn=name, password=self._made.password or "")
        try:
            with closing(directory.connect(address, access)):
                return None
        except LdapError as error:
            if error.code in _ELSEWHERE:
                raise ConnectionLost(said(error)) from error
            return said(error)

    def _update(self, kind: str, id: ResourceId, values: dict[Slot, Value | None]) -> None:
        self._site.backend.update(kind, id, Change(values))

    def _remember(self) -> None:
        """Note the DNs of what was made, for cleaning up."""
        for branch, id in ((self._site.users, self._made.user), (self._site.groups, self._made.group)):
            if id:
                self._dns.update(entry.dn for entry in branch.by_ids([id], ()).values())

    def _write(self, call: Callable[[Connection], None]) -> None:
        self._site.directory.run(call, idempotent=False)

    def _step(self, failing: str) -> _Step:
        return _Step(self, failing)

    def failed(self, failing: str, error: StoreError | LdapError) -> None:
        """Note that a step failed; the next ones are tried."""
        mend = self._site.mending.rights() if _is_about_rights(error) else ""
        self._found(_RIGHTS, State.FAULT, f"{failing}: {self._why(error)}", mend)

    def _refused(self, failing: str, error: StoreError) -> None:
        """Note that a step failed without which there are no others."""
        self.failed(failing, error)
        raise _Stopped from error

    def _why(self, error: StoreError | LdapError) -> str:
        cause = error if isinstance(error, LdapError) else error.__cause__
        if isinstance(cause, LdapError):
            return said(cause)
        return str(error) or type(error).__name__

    def _found(self, what: str, state: State, text: str, mend: str = "") -> None:
        self.findings.append(Finding(what, state, text, mend))

    def _leftovers(self) -> None:
        filter = f"({self._site.user_name}={PREFIX}*)"
        users = self._site.bindings.users
        for base in (users.base, *((users.retired,) if users.retired is not None else ())):
            for entry in self._site.seen(base, Scope.SUBTREE, filter, ("1.1",)):
                text = f"{entry.dn} was left by a check that was cut off"
                self._found("leftovers", State.WARNING, text, _removal(entry.dn))

    def _clean(self) -> None:
        """Afterwards nothing is left of what was made, or a finding names it."""
        for name in sorted(self._dns | set(self._by_name())):
            try:
                self._write(partial(_delete, name=name))
            except LdapError as error:
                if error.code != faults.NO_SUCH_OBJECT and self._is_there(name):
                    self._left(name, said(error))
            except ConnectionLost as lost:
                self._left(name, str(lost))

    def _by_name(self) -> Iterator[str]:
        groups = self._site.bindings.groups
        pairs = (
            (self._site.bindings.users.base, self._site.user_name),
            (groups.base, groups.singles["displayName"].attribute),
        )
        for base, attribute in pairs:
            filter = dn.any_of(dn.equality(attribute, name) for name in self._names)
            try:
                yield from (entry.dn for entry in self._site.seen(base, Scope.SUBTREE, filter, ("1.1",)))
            except ConnectionLost:
                return

    def _is_there(self, name: str) -> bool:
        return bool(self._site.seen(name, Scope.BASE, "(objectClass=*)", ("1.1",)))

    def _left(self, name: str, why: str) -> None:
        text = f"{name} was made by this check and could not be deleted: {why}"
        self._found("leftovers", State.FAULT, text, _removal(name))


@dataclass(slots=True)
class _Step:
    """Within it a failure becomes a finding."""

    rehearsal: Rehearsal
    failing: str

    def __enter__(self) -> None:
        pass

    def __exit__(self, type: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, StoreError | LdapError):
            self.rehearsal.failed(self.failing, error)
            return True
        return False


def _is_about_rights(error: StoreError | LdapError) -> bool:
    code = error.code if isinstance(error, LdapError) else 0
    return isinstance(error, Protected | NotFound | ReadOnly) or code in (faults.NO_ACCESS, faults.NO_SUCH_OBJECT)


def _said(findings: list[Finding], what: str) -> bool:
    return any(finding.what == what for finding in findings)


def _settled(holds: Callable[[], bool]) -> bool:
    """Whether it holds at once or soon."""
    until = time.monotonic() + _SETTLES
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def _removal(name: str) -> str:
    return f"ldapdelete -x -H ldaps://SERVER -D 'the DN of your administrator' -W '{name}'"


def _add(connection: Connection, name: str, attributes: Attributes) -> None:
    connection.add(name, attributes)


def _delete(connection: Connection, name: str) -> None:
    connection.delete(name)
