"""The types of the Starlette adapter as users write them: checked by mypy and pyright, never run."""

from typing import Annotated, Any, Literal, assert_type
from uuid import UUID

import redis
import redis.asyncio
from fastapi import Depends, FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.authentication import requires
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from redisess_core import (
    AsyncSession,
    AsyncSessionManager,
    Session,
    SessionDataTooLarge,
    SessionGone,
    SessionLimitReached,
    SessionManager,
)
from redisess_starlette import (
    SESSION_ENDED,
    RedisessMiddleware,
    SessionAuthBackend,
    SessionUser,
    StarletteSession,
    current_session,
    end_session,
    kill_user,
    login,
    logout,
    logout_everywhere,
    logout_others,
    manager,
    sessions,
)
from redisess_starlette.fastapi import (
    BlockingRequestSession,
    BlockingSession,
    CurrentSession,
    CurrentUser,
    FreshSession,
    RequiredSession,
    get_blocking_session,
    get_current_session,
    get_current_user,
    get_required_session,
)

# Starlette


async def index(request: Request) -> Response:
    session = current_session(request)
    assert_type(session, StarletteSession)
    assert_type(session.user_id, str | None)
    assert_type(session.session_id, str | None)
    assert_type(session.token, str | None)
    assert_type(session.created, float | None)
    assert_type(session.authenticated_at, float | None)
    assert_type(session.last_access, float | None)
    assert_type(session.expires_in, float | None)
    assert_type(session.idle, float)
    assert_type(session.fields, dict[str, Any])
    assert_type(session.new, bool)
    assert_type(session.modified, bool)
    assert_type(session.accessed, bool)
    assert_type(session.authenticated_within(60), bool)
    assert_type(request.session, dict[str, Any])
    return JSONResponse(session)


async def data(request: Request) -> Response:
    session = current_session(request)
    session["cart"] = ["tea"]
    assert_type(session["cart"], Any)
    assert_type(len(session), int)
    assert_type("cart" in session, bool)
    for key in session:
        assert_type(key, str)
    session.update(a=1)
    session.pop("a", None)
    session.clear()
    session[5] = 1  # type: ignore[index]
    plain: dict[str, Any] = session
    return JSONResponse(plain)


async def enter(request: Request) -> Response:
    assert_type(login(request, "ada"), None)
    login(request, 7, ttl=60.5, transport="header", role="admin")
    login(request, UUID(int=7), transport=None)
    current_session(request).login("ada", ttl=60, transport="cookie", role="admin")
    login(request, None)  # type: ignore[arg-type]
    login(request, "ada", ttl="60")  # type: ignore[arg-type]
    login(request, "ada", transport="url")  # type: ignore[arg-type]
    login("ada")  # type: ignore[call-arg, arg-type]
    try:
        await current_session(request).save()
    except SessionLimitReached as refused:
        return Response(f"{refused.user_id} {refused.limit}", 403)
    except (SessionDataTooLarge, SessionGone):
        return Response("", 400)
    return Response("", 204)


async def leave(request: Request) -> Response:
    assert_type(logout(request), None)
    assert_type(current_session(request).logout(), None)
    assert_type(current_session(request).rotate(), None)
    assert_type(await current_session(request).touch(), None)
    return Response()


async def devices(request: Request) -> Response:
    assert_type(await sessions(request), list[AsyncSession])
    assert_type(await end_session(request, "id"), bool)
    assert_type(await current_session(request).end_session("id"), bool)
    assert_type(await logout_others(request), int)
    assert_type(await current_session(request).logout_others(), int)
    assert_type(await logout_everywhere(request), int)
    assert_type(await current_session(request).logout_everywhere(), int)
    assert_type(await kill_user(request, "ada"), int)
    assert_type(await kill_user(request, 7, keep=["a", "b"]), int)
    assert_type(manager(request), AsyncSessionManager)
    assert_type(await manager(request).count(secs=60), int)
    for each in await sessions(request):
        assert_type(each.user_agent, str | None)
        assert_type(await each.kill(), bool)
    async for session in manager(request).iter_sessions():
        assert_type(session, AsyncSession)
    await end_session(request, 5)  # type: ignore[arg-type]
    return Response()


@requires("authenticated")
async def secret(request: Request) -> Response:
    if isinstance(request.user, SessionUser):
        assert_type(request.user.user_id, str)
        assert_type(request.user.identity, str)
    return Response()


def helpers_take_any_connection(connection: HTTPConnection, socket: WebSocket) -> None:
    assert_type(current_session(connection), StarletteSession)
    login(socket, "ada", transport="header")
    assert_type(SESSION_ENDED, Literal[4401])


starlette_app = Starlette(
    routes=[Route("/", index), Route("/data", data), Route("/enter", enter), Route("/secret", secret)],
    middleware=[
        Middleware(RedisessMiddleware, "redis://localhost", namespace="site"),
        Middleware(AuthenticationMiddleware, backend=SessionAuthBackend()),
    ],
)
Starlette(middleware=[Middleware(RedisessMiddleware, store="memory://", max_age=None, same_site=None)])
starlette_app.add_middleware(RedisessMiddleware, store=redis.asyncio.Redis(), header=None, rolling=True)
starlette_app.add_middleware(RedisessMiddleware, AsyncSessionManager("memory://"), session_cookie="sid", max_age=60)
starlette_app.add_middleware(
    RedisessMiddleware,
    store="memory://",
    additional_fields=["role"],
    ttl=60.5,
    max_lifetime=None,
    on_limit="refuse",
    skip=lambda connection: connection.url.path == "/health",
)
starlette_app.add_middleware(RedisessMiddleware)  # type: ignore[call-arg]
starlette_app.add_middleware(RedisessMiddleware, store=redis.Redis())  # type: ignore[arg-type]
starlette_app.add_middleware(RedisessMiddleware, store=SessionManager("memory://"))  # type: ignore[arg-type]
starlette_app.add_middleware(RedisessMiddleware, store="memory://", same_site="Lax")  # type: ignore[arg-type]
starlette_app.add_middleware(RedisessMiddleware, store="memory://", on_limit="forget")  # type: ignore[arg-type]
starlette_app.add_middleware(RedisessMiddleware, store="memory://", max_age="60")  # type: ignore[arg-type]
Middleware(RedisessMiddleware, store="memory://", cookie_name="sid")  # type: ignore[call-arg]
Middleware(RedisessMiddleware, store="memory://", ttl="60")  # type: ignore[arg-type]
RedisessMiddleware(starlette_app, "memory://", path="/site", domain="example.org", partitioned=True, https_only=False)

# FastAPI

app = FastAPI(middleware=[Middleware(RedisessMiddleware, "memory://")], dependencies=[FreshSession(300.5)])


@app.get("/me")
async def me(session: CurrentSession, required: RequiredSession, user: CurrentUser) -> dict[str, Any]:
    assert_type(session, StarletteSession)
    assert_type(session.user_id, str | None)
    assert_type(required, StarletteSession)
    assert_type(user, str)
    assert_type(await session.save(), None)
    assert_type(await session.touch(), None)
    assert_type(await session.end_session("id"), bool)
    assert_type(await session.logout_others(), int)
    assert_type(await session.logout_everywhere(), int)
    return session


@app.post("/account")
async def account(session: Annotated[StarletteSession, FreshSession(300)]) -> str:
    assert_type(session, StarletteSession)
    return session.user_id or ""


@app.delete("/account", dependencies=[FreshSession(60)])
async def end_account(session: Annotated[StarletteSession, Depends(get_required_session)]) -> None:
    assert_type(session.logout(), None)


@app.post("/blocking")
def blocking(session: BlockingSession) -> dict[str, Any]:
    assert_type(session, BlockingRequestSession)
    assert_type(session.user_id, str | None)
    assert_type(session.save(), None)
    assert_type(session.touch(), None)
    assert_type(session.sessions(), list[Session])
    assert_type(session.end_session("id"), bool)
    assert_type(session.logout_others(), int)
    assert_type(session.logout_everywhere(), int)
    assert_type(session.login("ada", ttl=60, transport="header", role="admin"), None)
    assert_type(session.logout(), None)
    assert_type(session.rotate(), None)
    session["cart"] = ["tea"]
    del session["cart"]
    session.login(None)  # type: ignore[arg-type]
    session[5] = 1  # type: ignore[index]
    session.end_session(5)  # type: ignore[arg-type]
    return dict(session)


@app.websocket("/socket")
async def socket(socket: WebSocket, session: RequiredSession) -> None:
    assert_type(session, StarletteSession)
    assert_type(current_session(socket), StarletteSession)


FreshSession("300")  # type: ignore[arg-type]
for dependency in (
    get_current_session,
    get_required_session,
    get_current_user,
    get_blocking_session,
    FreshSession(300).dependency,
):
    app.dependency_overrides[dependency] = lambda: "ada"
