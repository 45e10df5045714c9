"""Facts that a store reports. What a client is told of them is decided in `app.api.errors`."""

from __future__ import annotations

from collections.abc import Sequence


class StoreError(Exception):
    """Base of everything that a back end raises; library exceptions never cross the seam."""


class NotFound(StoreError):
    """No resource of that kind has this id; an id of any shape that the store could not have issued is this too."""


class Duplicate(StoreError):
    """Another resource already holds a value that must be unique. `attribute` is the slot (`userName`), if known."""

    def __init__(self, attribute: str | None = None) -> None:
        super().__init__(f"value of {attribute or 'a unique attribute'} is taken")
        self.attribute = attribute


class VersionMismatch(StoreError):
    """The stored version is not the expected one; nothing was changed."""


class UnknownReference(StoreError):
    """A relation was to refer to resources that do not exist; nothing was changed. `ids` names them."""

    def __init__(self, relation: str, ids: Sequence[str]) -> None:
        super().__init__(f"{relation}: {len(ids)} unknown")
        self.relation = relation
        self.ids = tuple(ids)


class RejectedValue(StoreError):
    """The store can't hold this value. `attribute` is the slot; `reason` is fit for a client."""

    def __init__(self, attribute: str, reason: str) -> None:
        super().__init__(f"{attribute}: {reason}")
        self.attribute = attribute
        self.reason = reason


class TooManyCandidates(StoreError):
    """The store would have to test more entries than it is allowed to."""


class ReadOnly(StoreError):
    """The store, or the node that answered, takes no writes."""


class Protected(StoreError):
    """The entry may not be changed by this service. `reason` says why, where more is known, and is fit for a client."""

    def __init__(self, reason: str | None = None) -> None:
        super().__init__(reason or "the entry is protected")
        self.reason = reason


class Unavailable(StoreError):
    """The store can't be reached or did not answer in time. `retry_after` is in seconds."""

    def __init__(self, retry_after: int = 5) -> None:
        super().__init__("the store is not available")
        self.retry_after = retry_after
