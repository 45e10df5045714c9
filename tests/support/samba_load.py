"""Adds many entries to a domain at once: run by the distribution's Python, which has Samba's modules.

usage: python3 samba_load.py DIRECTORY ENTRIES

ENTRIES is a file with a list of objects in JSON, each with its `dn` and its attributes. All are written in one
transaction, straight to the database of the domain controller, which may run meanwhile: others who write wait. When one
is refused, none is there afterwards, and the exit status is not 0.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from samba.auth import system_session  # type: ignore[import-not-found]
from samba.param import LoadParm  # type: ignore[import-not-found]
from samba.samdb import SamDB  # type: ignore[import-not-found]


def main(directory: str, entries: str) -> None:
    """Add them to the database that the file etc/smb.conf below the directory names."""
    parameters = LoadParm()
    parameters.load(str(Path(directory, "etc/smb.conf")))
    # Otherwise each entry is a transaction within the transaction, which takes four times as long.
    options = ["batch_mode:1"]
    database = SamDB(session_info=system_session(parameters), lp=parameters, options=options)
    database.transaction_start()
    for entry in json.loads(Path(entries).read_text()):
        database.add(entry)
    database.transaction_commit()


if __name__ == "__main__":
    main(*sys.argv[1:])
