"""A pytest plugin: whoever imports Starlette's session middleware gets ours, on the Redis of `REDISESS_SWAP_URL`."""

from __future__ import annotations

import os
from typing import Any

from starlette.middleware import sessions

from redisess_starlette import RedisessMiddleware

DAYS = 24 * 60 * 60


def swapped(
    app: Any,
    secret_key: str,
    session_cookie: str = "session",
    max_age: int | None = 14 * DAYS,
    https_only: bool = False,
    **options: Any,
) -> RedisessMiddleware:
    """Make our middleware as Starlette's is made, with its defaults; ours needs no key."""
    url = os.environ["REDISESS_SWAP_URL"]
    return RedisessMiddleware(
        app, url, session_cookie=session_cookie, max_age=max_age, https_only=https_only, **options
    )


sessions.SessionMiddleware = swapped
