"""The WSGI application that gunicorn serves."""

from __future__ import annotations

import os

from app.factory import create_app
from config.loader import load

application = create_app(load(None, os.environ))
