"""The site of the story under Starlette."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from browsing import Answer
from starlette.applications import Starlette
from starlette.authentication import requires
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from redisess_core import SessionManager
from redisess_starlette import (
    RedisessMiddleware,
    SessionAuthBackend,
    current_session,
    end_session,
    login,
    logout,
    logout_everywhere,
    logout_others,
    sessions,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

signed_in = requires("authenticated", status_code=401)


async def me(request: Request) -> JSONResponse:
    session = current_session(request)
    return JSONResponse({"user": session.user_id, "id": session.session_id, "data": request.session})


async def sign_in(request: Request) -> JSONResponse:
    login(request, request.path_params["user"])
    return JSONResponse({})


async def token(request: Request) -> JSONResponse:
    login(request, request.path_params["user"], transport="header")
    return JSONResponse({"token": current_session(request).token})


async def sign_out(request: Request) -> JSONResponse:
    logout(request)
    return JSONResponse({})


async def put(request: Request) -> JSONResponse:
    request.session[request.path_params["key"]] = request.path_params["value"]
    return JSONResponse({})


@signed_in
async def devices(request: Request) -> JSONResponse:
    return JSONResponse([{"id": each.session_id, "browser": each.user_agent} for each in await sessions(request)])


async def end(request: Request) -> JSONResponse:
    return JSONResponse({"ended": await end_session(request, request.path_params["session_id"])})


async def end_others(request: Request) -> JSONResponse:
    return JSONResponse({"ended": await logout_others(request)})


async def end_all(request: Request) -> JSONResponse:
    return JSONResponse({"ended": await logout_everywhere(request)})


@signed_in
async def secret(request: Request) -> JSONResponse:
    if not current_session(request).authenticated_within(60):
        raise HTTPException(401)
    return JSONResponse({})


def make_app(url: str, **options: Any) -> Starlette:
    """Make the app; *options* are those of the one table."""
    return Starlette(
        routes=[
            Route("/me", me),
            Route("/sign-in/{user}", sign_in, methods=["POST"]),
            Route("/token/{user}", token, methods=["POST"]),
            Route("/sign-out", sign_out, methods=["POST"]),
            Route("/put/{key}/{value}", put, methods=["POST"]),
            Route("/devices", devices),
            Route("/devices/end/{session_id}", end, methods=["POST"]),
            Route("/devices/end-others", end_others, methods=["POST"]),
            Route("/devices/end-all", end_all, methods=["POST"]),
            Route("/secret", secret),
        ],
        middleware=[
            Middleware(RedisessMiddleware, url, **options),
            Middleware(AuthenticationMiddleware, backend=SessionAuthBackend()),
        ],
    )


class StarletteBrowser:
    def __init__(self, client: TestClient, token: str | None = None) -> None:
        self._client = client
        self._token = token

    @property
    def token(self) -> str | None:
        return self._token or self._client.cookies.get("__Host-session")

    def _ask(self, method: str, path: str) -> Answer:
        response = self._client.request(method, path)
        body = response.json() if response.status_code == 200 else None
        headers = response.headers
        return Answer(response.status_code, body, "Set-Cookie" in headers, headers.get("Retry-After"))

    def me(self) -> Answer:
        return self._ask("GET", "/me")

    def sign_in(self, user: str) -> Answer:
        return self._ask("POST", f"/sign-in/{user}")

    def sign_out(self) -> Answer:
        return self._ask("POST", "/sign-out")

    def put(self, key: str, value: str) -> Answer:
        return self._ask("POST", f"/put/{key}/{value}")

    def devices(self) -> Answer:
        return self._ask("GET", "/devices")

    def end(self, session_id: str) -> Answer:
        return self._ask("POST", f"/devices/end/{session_id}")

    def end_others(self) -> Answer:
        return self._ask("POST", "/devices/end-others")

    def end_all(self) -> Answer:
        return self._ask("POST", "/devices/end-all")

    def secret(self) -> Answer:
        return self._ask("GET", "/secret")


class StarletteSite:
    def __init__(self, app: Any, manager: SessionManager, ends: ExitStack) -> None:
        self._app, self._ends = app, ends
        self.manager = manager

    def browser(self, user_agent: str = "Firefox") -> StarletteBrowser:
        return StarletteBrowser(self._client({"User-Agent": user_agent}))

    def header_client(self, user: str) -> StarletteBrowser:
        token = self._client({}).post(f"/token/{user}").json()["token"]
        return StarletteBrowser(self._client({"Authorization": f"Bearer {token}"}), token)

    def _client(self, headers: dict[str, str]) -> TestClient:
        return self._ends.enter_context(TestClient(self._app, "https://testserver", headers=headers))


@contextmanager
def open_site(url: str, **options: Any) -> Iterator[StarletteSite]:
    """Open the site over the Redis of *url*."""
    with SessionManager(url, **options) as manager, ExitStack() as ends:
        yield StarletteSite(make_app(url, **options), manager, ends)
