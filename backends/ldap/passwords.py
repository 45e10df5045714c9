"""Passwords: set in the server's own way, never read."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from backends.errors import RejectedValue
from backends.ldap import faults
from backends.ldap.branch import Branch
from backends.ldap.drivers.base import Attributes, LdapError, Modification, Operation
from backends.ldap.encoding import Native
from backends.ldap.entries import PASSWORD
from backends.ldap.locks import random_password, unicode_password
from backends.ldap.requests import Requests
from config.directory import Password, UserBindings

_REFUSED = "the directory's password policy refuses it"
_ATTRIBUTES = frozenset({"unicodePwd", "userPassword"})
_OF_POLICY = re.compile(r"(?<!user)password|0000052d", re.IGNORECASE)
"""In the message of a refusal by policy, where the attribute's name may be in others; the number is Active Directory's
ERROR_PASSWORD_RESTRICTION."""


class Passwords:
    """The passwords of one resource type. A password that may not be set is a RejectedValue of `password`."""

    def __init__(self, branch: Branch, requests: Requests) -> None:
        self._requests = requests
        self._lock = branch.entries.lock
        self._way = branch.bindings.password if isinstance(branch.bindings, UserBindings) else Password.NONE

    @property
    def after_creation(self) -> bool:
        """Whether the password of a new account is set by a request of its own."""
        return self._way is Password.MODIFY

    def of_new_account(self, password: str | None, *, locked: bool) -> Native:
        """The attribute with the password of a new account. Active Directory signs nobody in who has none: an account
        that is to be active gets one that nobody knows."""
        if self._way is Password.UNICODE_PWD:
            unneeded = password is None and locked
            return {} if unneeded else {"unicodePwd": (unicode_password(password or random_password()),)}
        if password is None:
            return {}
        if self._way is Password.NONE:
            raise RejectedValue(PASSWORD, "passwords are not taken")
        return {"userPassword": (password.encode(),)} if self._way is Password.USER_PASSWORD else {}

    def change(self, name: str, password: str, *, locked: bool) -> None:
        """Set the password of the account at that DN; one that is `locked` stays so."""
        match self._way:
            case Password.NONE:
                raise RejectedValue(PASSWORD, "passwords are not taken")
            case Password.MODIFY:
                self._accepted(name, partial(self._requests.set_password, name, password))
                # A new password takes the lock away, so that the lock comes last.
                if locked and self._lock is not None:
                    lock = Modification(Operation.REPLACE, self._lock.attribute, self._lock.values(True, ()))
                    self._requests.modify(name, [lock])
            case Password.USER_PASSWORD:
                self._put(name, "userPassword", password.encode())
            case Password.UNICODE_PWD:
                self._put(name, "unicodePwd", unicode_password(password))

    @staticmethod
    def refuse(error: LdapError, attributes: Attributes) -> None:
        """Raise RejectedValue when it was the password for which the attributes of a new entry were refused."""
        if _OF_POLICY.search(error.message) and _ATTRIBUTES & attributes.keys():
            raise RejectedValue(PASSWORD, _REFUSED) from error

    def _put(self, name: str, attribute: str, octets: bytes) -> None:
        change = Modification(Operation.REPLACE, attribute, (octets,))
        self._accepted(name, partial(self._requests.modify, name, [change]))

    def _accepted(self, name: str, call: Callable[[], object]) -> None:
        try:
            call()
        except LdapError as error:
            # A server that takes no writes is unwilling too.
            unwilling = error.code == faults.UNWILLING and _OF_POLICY.search(error.message)
            if error.code == faults.CONSTRAINT_VIOLATION or unwilling:
                raise RejectedValue(PASSWORD, _REFUSED) from error
            explained = self._requests.explained(error, name)
            if explained is error:
                raise
            raise explained from error
