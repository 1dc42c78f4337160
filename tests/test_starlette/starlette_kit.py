"""A small site that the tests of the Starlette adapter visit, and how they read what comes back."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx2
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from redisess_starlette import RedisessMiddleware, current_session, login, logout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.requests import Request

UNKNOWN_TOKEN = "1aa" + "a" * 26
"""What has the form of a token, and names no session."""

COOKIE = "__Host-session"
"""The cookie's name where the app names none."""

SITE = "https://testserver"


def site(store: Any, *, routes: Any = (), outside: Any = (), inside: Any = (), app: Any = None, **options: Any) -> Any:
    """Make an app with the pages that most tests visit; *options* are the middleware's.

    *outside* and *inside* are middleware around ours; *app* are the app's own arguments. `serves` says what is at "/".
    """
    made = Starlette(
        routes=[*routes, *PAGES],
        middleware=[*outside, Middleware(RedisessMiddleware, store, **options), *inside],
        **(app or {}),
    )
    serves(made, lambda _: "hello")
    return made


def serves(app: Starlette, view: Callable[[Request], Any]) -> None:
    """Put *view* at "/" of *app*: what it returns, awaited if need be, is made a response."""
    app.state.view = view


async def index(request: Request) -> Response:
    answer = request.app.state.view(request)
    if inspect.isawaitable(answer):
        answer = await answer
    match answer:
        case Response():
            return answer
        case str() | None:
            return PlainTextResponse(answer)
        case _:
            return JSONResponse(answer)


def plain(request: Request) -> Response:
    return PlainTextResponse("plain")


async def me(request: Request) -> Response:
    session = current_session(request)
    return JSONResponse({"user": session.user_id, "id": session.session_id, "data": dict(session)})


async def put(request: Request) -> Response:
    request.session[request.path_params["key"]] = request.path_params["value"]
    return PlainTextResponse("stored")


async def take(request: Request) -> Response:
    return JSONResponse({"value": request.session.pop(request.path_params["key"], None)})


async def sign_in(request: Request) -> Response:
    login(request, request.path_params["user"])
    return JSONResponse({"id": current_session(request).session_id})


async def give_token(request: Request) -> Response:
    login(request, request.path_params["user"], transport="header")
    return JSONResponse({"token": current_session(request).token})


async def sign_out(request: Request) -> Response:
    logout(request)
    return PlainTextResponse("bye")


PAGES = [
    Route("/", index, methods=["GET", "POST", "PUT", "OPTIONS"]),
    Route("/plain", plain),
    Route("/me", me),
    Route("/set/{key}/{value}", put, methods=["POST"]),
    Route("/pop/{key}", take, methods=["POST"]),
    Route("/login/{user}", sign_in, methods=["POST"]),
    Route("/token/{user}", give_token, methods=["POST"]),
    Route("/logout", sign_out, methods=["POST"]),
]


def visit(app: Any, path: str, headers: Any = None, method: str = "GET", **options: Any) -> httpx2.Response:
    """Visit *path* with these headers, and no cookies but theirs, in an event loop of its own."""
    return TestClient(app, SITE, **options).request(method, path, headers=headers)


async def ask(app: Any, path: str, headers: Any = None, method: str = "GET") -> httpx2.Response:
    """Visit *path* likewise, in the running event loop."""
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=SITE) as client:
        return await client.request(method, path, headers=headers)


def scope_of(path: str = "/", headers: dict[str, str] | None = None, method: str = "GET") -> dict[str, Any]:
    """Give the scope of a request, for a test that is the server itself."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "client": ("192.0.2.1", 1234),
        "server": ("testserver", 443),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()],
    }


async def no_more() -> dict[str, Any]:
    """Receive the empty body of a request."""
    return {"type": "http.request", "body": b"", "more_body": False}


def token_of(client: TestClient, name: str = COOKIE) -> str | None:
    """Give the token that *client* holds in its cookie."""
    return client.cookies.get(name)


def send_token(token: str, name: str = COOKIE) -> dict[str, str]:
    """Give the headers of a browser that holds *token*."""
    return {"Cookie": f"{name}={token}"}


def bearer(token: str) -> dict[str, str]:
    """Give the headers of a client without cookies that holds *token*."""
    return {"Authorization": f"Bearer {token}"}


class SetCookie(NamedTuple):
    """One `Set-Cookie` header, its attributes' names in lower case; a flag's value is ''."""

    name: str
    value: str
    attributes: dict[str, str]

    @property
    def removes(self) -> bool:
        return (
            not self.value
            and self.attributes["max-age"] == "0"
            and self.attributes["expires"].endswith("1970 00:00:00 GMT")
        )


def cookies_set(response: httpx2.Response) -> list[SetCookie]:
    """Read every `Set-Cookie` of a response."""
    return list(_parsed(response.headers.get_list("set-cookie")))


def _parsed(lines: list[str]) -> Iterator[SetCookie]:
    for line in lines:
        pair, *attributes = line.split("; ")
        name, value = pair.split("=", 1)
        split = (attribute.partition("=") for attribute in attributes)
        yield SetCookie(name, value, {key.lower(): text for key, _, text in split})


def vary_of(response: httpx2.Response) -> list[str]:
    """Give the members of every `Vary` of a response, in lower case."""
    return [member.strip().lower() for line in response.headers.get_list("vary") for member in line.split(",")]
