"""What the control store reports; SQLAlchemy's exceptions do not leave this package."""

from __future__ import annotations


class ControlError(Exception):
    """Base of everything that the control store raises. Its message is for an operator, not a client."""


class ControlUnavailable(ControlError):
    """The database cannot be reached, did not answer in time or lacks its tables. `retry_after` is in
    seconds.
    """

    def __init__(self, reason: str = "the control store is not available", retry_after: int = 5) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class UnknownIntegration(ControlError):
    """No integration has this name or id, or it is revoked and a live one was asked for."""

    def __init__(self, reference: str) -> None:
        super().__init__(f"there is no integration {reference!r}; `landfall integration list` shows all")
        self.reference = reference


class UnknownCredential(ControlError):
    """No credential has this id, or it is revoked."""

    def __init__(self, credential_id: str) -> None:
        super().__init__(f"there is no live credential {credential_id!r}")


class NameTaken(ControlError):
    """A live integration already has this name; upper and lower case count as equal."""

    def __init__(self, name: str) -> None:
        super().__init__(f"an integration is already called {name!r}")


class ReservedName(ControlError):
    """The name stands for somebody else in the audit."""

    def __init__(self, name: str) -> None:
        super().__init__(f"in the audit {name!r} is who works with the landfall command: choose another name")


class InvalidName(ControlError):
    """The name of an integration is empty, longer than 100 characters or holds control characters."""

    def __init__(self) -> None:
        super().__init__("the name of an integration must be 1 to 100 printable characters")
