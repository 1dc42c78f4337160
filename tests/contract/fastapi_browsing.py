"""The site of the story under FastAPI, of what it takes to sign in, read and write: by its dependencies."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette_browsing import StarletteSite

from redisess_core import SessionManager
from redisess_starlette import RedisessMiddleware
from redisess_starlette.fastapi import BlockingSession, CurrentSession


def make_app(url: str, **options: Any) -> FastAPI:
    """Make the app; *options* are those of the one table."""
    app = FastAPI(middleware=[Middleware(RedisessMiddleware, url, **options)])

    @app.get("/me")
    async def me(session: CurrentSession):
        return {"user": session.user_id, "id": session.session_id, "data": dict(session)}

    @app.post("/sign-in/{user}")
    async def sign_in(session: CurrentSession, user: str):
        session.login(user)
        return {}

    @app.post("/sign-out")
    def sign_out(session: BlockingSession):
        session.logout()
        return {}

    @app.post("/put/{key}/{value}")
    def put(session: BlockingSession, key: str, value: str):
        session[key] = value
        return {}

    return app


@contextmanager
def open_site(url: str, **options: Any) -> Iterator[StarletteSite]:
    """Open the site over the Redis of *url*."""
    with SessionManager(url, **options) as manager, ExitStack() as ends:
        yield StarletteSite(make_app(url, **options), manager, ends)
