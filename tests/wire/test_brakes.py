"""Brakes over the workers of a running service, and how an operator sees and releases them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.wire.landfall import Landfall, access_token, serving

LIMIT = 30


def test_all_workers_together_stop_at_the_limit(tmp_path: Path) -> None:
    """Of many deletions in parallel as many succeed as the limit says; an operator is told, and lets the rest go on."""
    variables = {"LANDFALL_BRAKES_DELETIONS": str(LIMIT), "LANDFALL_BRAKES_SHARE": "0"}
    with serving(Landfall(tmp_path / "var", variables)) as landfall:
        token = access_token(landfall.integration("hasty"))
        client = landfall.speak(token)
        ids = [client.user(f"user{number}@corp.example")["id"] for number in range(LIMIT + 20)]
        clients = [landfall.speak(token) for _ in range(8)]
        with ThreadPoolExecutor(len(clients)) as pool:
            jobs = [pool.submit(clients[n % len(clients)].delete, f"/Users/{id}") for n, id in enumerate(ids)]
        codes = [job.result().status_code for job in jobs]
        assert (codes.count(204), codes.count(503)) == (LIMIT, 20)
        (brake,) = landfall.report("brakes", "show")
        assert (brake["integration"], brake["effect"], brake["limit"]) == ("hasty", "deletions", LIMIT)
        assert "hasty" in landfall.run("brakes", "show").stdout
        left = [id for id, code in zip(ids, codes, strict=True) if code == 503]
        assert client.delete(f"/Users/{left[0]}").status_code == 503
        assert "Released: 1" in landfall.run("brakes", "release", "hasty").stdout
        assert landfall.report("brakes", "show") == []
        assert {client.delete(f"/Users/{id}").status_code for id in left} == {204}
