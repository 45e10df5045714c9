"""The view that the login query of another program reads."""

from __future__ import annotations

from argon2 import PasswordHasher
from sqlalchemy import text

from app.scim.query import Change, Draft
from app.scim.registry import Registry
from backends.sql.backend import SqlBackend
from backends.sql.upgrade import upgrade


def test_who_may_sign_in(sql_url: str, registry: Registry) -> None:
    """Whoever is not deactivated or retired, by the userName without regard to case, with the password that was set."""
    upgrade(sql_url)
    backend = SqlBackend(sql_url, registry)

    def found(name: str) -> list[str]:
        query = text("SELECT id, password_hash FROM scim_sign_in WHERE user_name_key = :name")
        with backend.engine.connect() as connection:
            rows = connection.execute(query, {"name": name.casefold()}).all()
        for _, hash in rows:
            PasswordHasher().verify(hash, "correct horse")
        return [str(id) for id, _ in rows]

    ann = backend.create("User", Draft({"userName": "Ann@Corp.example", "password": "correct horse"})).id
    assert found("ann@corp.EXAMPLE") == [ann]
    for active, expected in ((False, []), (True, [ann])):
        backend.update("User", ann, Change({"active": active}))
        assert found("Ann@corp.example") == expected
    backend.retire("User", ann)
    assert found("Ann@corp.example") == []
    backend.restore("User", ann, Change({}))
    assert found("Ann@corp.example") == [ann]
    backend.delete("User", ann)
    assert found("Ann@corp.example") == []
    backend.close()
