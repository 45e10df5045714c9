"""What differs between the kinds of server: ids, stamps, locks, and what they can be asked for."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from app.scim.query import ResourceId
from backends.ldap import dn
from config.directory import Kind


@dataclass(frozen=True, slots=True)
class Server:
    """One kind. `id`, `created` and `modified` name attributes, in lower case. `assertion` and `post_read` say whether
    RFC 4528 and RFC 4527 are served; `substrings` whether every text attribute can be searched by its parts although
    the subschema names no rule for it; `counts_rest` whether a sorted page tells how many entries come after it;
    `dn_attribute` finds entries by their DN in a filter; `fraction` is what a Generalized Time in a filter needs after
    its seconds; `unique` names the attributes, in lower case, of which no two accounts have one value, wherever they
    are."""

    kind: Kind
    id: str
    created: str
    modified: str
    dn_attribute: str
    assertion: bool
    post_read: bool
    substrings: bool
    counts_rest: bool
    read_id: Callable[[bytes], ResourceId]
    id_filter: Callable[[ResourceId], str | None]
    fraction: str = ""
    unique: tuple[str, ...] = ()


_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_NS_UNIQUE_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}")
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:[.,](\d+))?Z")


def _text_id(octets: bytes) -> ResourceId:
    return octets.decode("ascii").lower()


def _guid(octets: bytes) -> ResourceId:
    return str(uuid.UUID(bytes_le=octets))


def _entry_uuid_filter(id: ResourceId) -> str | None:
    return dn.equality("entryUUID", id) if _UUID.fullmatch(id) else None


def _ns_unique_id_filter(id: ResourceId) -> str | None:
    return dn.equality("nsUniqueId", id) if _NS_UNIQUE_ID.fullmatch(id) else None


def _guid_filter(id: ResourceId) -> str | None:
    if not _UUID.fullmatch(id):
        return None
    octets = "".join(f"\\{octet:02x}" for octet in uuid.UUID(id).bytes_le)
    return f"(objectGUID={octets})"


SERVERS: Mapping[Kind, Server] = {
    Kind.OPENLDAP: Server(
        kind=Kind.OPENLDAP,
        id="entryuuid",
        created="createtimestamp",
        modified="modifytimestamp",
        dn_attribute="entryDN",
        assertion=True,
        post_read=True,
        substrings=False,
        counts_rest=True,
        read_id=_text_id,
        id_filter=_entry_uuid_filter,
    ),
    Kind.DS389: Server(
        kind=Kind.DS389,
        id="nsuniqueid",
        created="createtimestamp",
        modified="modifytimestamp",
        dn_attribute="entrydn",
        assertion=False,
        post_read=True,
        substrings=False,
        counts_rest=False,
        read_id=_text_id,
        id_filter=_ns_unique_id_filter,
    ),
    Kind.ACTIVE_DIRECTORY: Server(
        kind=Kind.ACTIVE_DIRECTORY,
        id="objectguid",
        created="whencreated",
        modified="whenchanged",
        dn_attribute="distinguishedName",
        assertion=False,
        post_read=False,
        substrings=True,
        counts_rest=False,
        read_id=_guid,
        id_filter=_guid_filter,
        fraction=".0",
        unique=("userprincipalname", "samaccountname"),
    ),
}


@lru_cache(maxsize=1024)
def read_time(octets: bytes | None) -> datetime:
    """The instant of a Generalized Time in UTC (RFC 4517 section 3.3.13); the epoch for none and for other text."""
    match = _TIME.fullmatch(octets.decode("ascii", "replace")) if octets else None
    if match is None:
        return datetime.fromtimestamp(0, UTC)
    year, month, day, hour, minute, second, fraction = match.groups()
    micro = int((fraction or "0")[:6].ljust(6, "0"))
    try:
        return datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), micro, tzinfo=UTC)
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
