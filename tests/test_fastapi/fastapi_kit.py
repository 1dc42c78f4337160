"""A small FastAPI app that the tests visit, and how they read what comes back."""

from typing import Annotated, Any

from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from starlette.middleware import Middleware

from redisess_core import AsyncSessionManager
from redisess_starlette import RedisessMiddleware, StarletteSession
from redisess_starlette.fastapi import BlockingSession, CurrentSession, CurrentUser, FreshSession, RequiredSession

COOKIE = "__Host-session"
SITE = "https://testserver"
UNKNOWN_TOKEN = "1aa" + "a" * 26
"""What has the form of a token, and names no session."""


def bare_app(store: str | AsyncSessionManager, *, lifespan: Any = None, **options: Any) -> FastAPI:
    """Make an app with nothing but the middleware."""
    return FastAPI(lifespan=lifespan, middleware=[Middleware(RedisessMiddleware, store, **options)])


def furnish(app: FastAPI) -> FastAPI:
    """Give *app* the endpoints that most tests visit."""

    @app.get("/")
    async def index():
        return "hello"

    @app.get("/me")
    async def me(session: CurrentSession):
        return {"user": session.user_id, "id": session.session_id, "data": dict(session)}

    @app.post("/put/{key}/{value}")
    async def put(session: CurrentSession, key: str, value: str):
        session[key] = value

    @app.post("/login/{user}")
    async def sign_in(session: CurrentSession, user: str):
        session.login(user)
        return {"id": session.session_id}

    @app.post("/token/{user}")
    async def token(session: CurrentSession, user: str):
        session.login(user, transport="header")
        return {"token": session.token}

    @app.post("/logout")
    async def sign_out(session: CurrentSession):
        session.logout()

    @app.get("/user")
    async def user(user: CurrentUser):
        return user

    @app.get("/required")
    async def required(session: RequiredSession):
        return session.user_id

    @app.get("/fresh")
    async def fresh(session: Annotated[StarletteSession, FreshSession(300)]):
        return session.user_id

    @app.get("/guarded", dependencies=[FreshSession(300)])
    async def guarded():
        return "open"

    @app.get("/blocking")
    def blocking(session: BlockingSession):
        return {"user": session.user_id, "id": session.session_id, "data": dict(session)}

    @app.get("/all")
    async def everything(
        session: CurrentSession,
        required: RequiredSession,
        fresh: Annotated[StarletteSession, FreshSession(300)],
        fresher: Annotated[StarletteSession, FreshSession(200)],
        user: CurrentUser,
        blocking: BlockingSession,
        again: Annotated[StarletteSession, Depends(twice)],
    ):
        return {"one": session is required is fresh is fresher is again, "users": [user, blocking.user_id]}

    return app


async def twice(session: CurrentSession, user: CurrentUser) -> StarletteSession:
    """Depend on what the endpoint depends on too."""
    return session


def browser(app: Any, **options: Any) -> TestClient:
    """Make a browser without cookies; it is to be entered."""
    return TestClient(app, base_url=SITE, **options)


def bearer(token: str) -> dict[str, str]:
    """Give the headers of a client without cookies that holds *token*."""
    return {"Authorization": f"Bearer {token}"}


def token_for(client: TestClient, user: str = "ada") -> str:
    """Sign *user* in as a client without cookies does."""
    return client.post(f"/token/{user}").json()["token"]
