"""The yardstick: one Flask route that does nothing but answer."""

from __future__ import annotations

from flask import Flask, Response, jsonify

application = Flask("bare", static_folder=None)


@application.get("/bare")
def bare() -> Response:
    """A small JSON document."""
    return jsonify(status="alive")
