"""When the session is stored: before the first byte of a response, whatever kind of response, whatever goes wrong."""

from __future__ import annotations

import asyncio
import json

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette_kit import COOKIE, ask, cookies_set, no_more, scope_of, send_token, serves, token_of, vary_of, visit

from redisess_core import AsyncSessionManager
from redisess_starlette import RedisessMiddleware, current_session, login, logout


@pytest.fixture
def token(sessions):
    """The token of a signed-in session."""
    return sessions.create("ada", data={"a": 1}).token


def data_of(sessions, token):
    return dict(sessions.authenticate(token, touch=False).data)


# Before the first byte


def test_a_stream_reads_the_session_and_cannot_change_it(app, sessions, token):
    seen = []

    async def chunks(session):
        seen.append(data_of(sessions, token))
        for change in (
            lambda: session.update(late=1),
            lambda: session.pop("a"),
            lambda: session.login("eve"),
            session.logout,
            session.rotate,
            session.clear,
        ):
            with pytest.raises(RuntimeError, match=r"save\(\)"):
                change()
        yield str(session["a"])

    def view(request):
        request.session["early"] = 1
        return StreamingResponse(chunks(request.session))

    serves(app, view)
    assert visit(app, "/", send_token(token)).text == "1"
    assert seen == [{"a": 1, "early": 1}]
    assert data_of(sessions, token) == {"a": 1, "early": 1}


def test_a_mutation_in_place_after_the_response_began_is_not_stored(app, sessions):
    token = sessions.create("ada", data={"list": []}).token

    async def chunks(session):
        yield "x"
        session["list"].append(1)

    serves(app, lambda request: StreamingResponse(chunks(request.session)))
    assert visit(app, "/", send_token(token)).text == "x"
    assert data_of(sessions, token) == {"list": []}


def test_a_background_task_reads_the_session_and_cannot_change_it(app, sessions, token):
    seen = []

    def view(request):
        def task():
            seen.append(data_of(sessions, token))
            seen.append(request.session["a"])
            with pytest.raises(RuntimeError, match=r"save\(\)"):
                request.session["late"] = 1
            with pytest.raises(RuntimeError, match=r"save\(\)"):
                logout(request)

        request.session["early"] = 1
        return PlainTextResponse("done", background=BackgroundTask(task))

    serves(app, view)
    assert visit(app, "/", send_token(token)).text == "done"
    assert seen == [{"a": 1, "early": 1}, 1]
    assert data_of(sessions, token) == {"a": 1, "early": 1}


def test_a_background_task_that_fails_undoes_nothing(app, sessions, token):
    def view(request):
        request.session["early"] = 1
        return PlainTextResponse("done", background=BackgroundTask(lambda: 1 / 0))

    serves(app, view)
    with pytest.raises(ZeroDivisionError):
        visit(app, "/", send_token(token))
    assert data_of(sessions, token) == {"a": 1, "early": 1}


class Server:
    """The server of one request: it looks into Redis as each part of the response comes, and may break off."""

    def __init__(self, app, sessions, token, breaks_at=None):
        self.app, self.sessions, self.token, self.breaks_at = app, sessions, token, breaks_at
        self.parts, self.stored = [], []

    async def send(self, message):
        self.parts.append(message)
        session = self.sessions.authenticate(self.token, touch=False)
        self.stored.append(None if session is None else dict(session.data))
        if message["type"] == self.breaks_at:
            raise OSError("the client has hung up")

    async def serve(self, method="GET", **headers):
        await self.app(scope_of("/", {**send_token(self.token), **headers}, method), no_more, self.send)


RESPONSES = {
    "text": lambda path: PlainTextResponse("x" * 2000),
    "stream": lambda path: StreamingResponse(iter(["x", "y"])),
    "file": FileResponse,
    "background": lambda path: PlainTextResponse("x", background=BackgroundTask(lambda: None)),
    "no content": lambda path: Response(status_code=204),
    "not modified": lambda path: Response(status_code=304),
    "error": lambda path: PlainTextResponse("x", 500),
}
AROUND = {
    "alone": {},
    "gzip inside": {"inside": [Middleware(GZipMiddleware)]},
    "gzip outside": {"outside": [Middleware(GZipMiddleware)]},
    "dispatch inside": {"inside": [Middleware(BaseHTTPMiddleware, dispatch=lambda request, go_on: go_on(request))]},
    "dispatch outside": {"outside": [Middleware(BaseHTTPMiddleware, dispatch=lambda request, go_on: go_on(request))]},
}


@pytest.mark.anyio
@pytest.mark.parametrize("kind", RESPONSES)
@pytest.mark.parametrize("around", AROUND)
async def test_the_session_is_stored_before_the_first_byte_leaves(make_app, look, tmp_path, kind, around):
    app, sessions = make_app(**AROUND[around]), look()
    path = tmp_path / "file"
    path.write_text("x" * 2000)
    token = sessions.create("ada").token

    def view(request):
        request.session["early"] = 1
        return RESPONSES[kind](path)

    serves(app, view)
    for method in ("GET", "HEAD"):
        server = Server(app, sessions, token)
        await server.serve(method, **{"Accept-Encoding": "gzip"})
        assert server.parts[0]["type"] == "http.response.start"
        assert server.stored == [{"early": 1}] * len(server.parts)
        vary = dict(server.parts[0]["headers"])[b"vary"]
        assert b"cookie" in vary.lower()


@pytest.mark.anyio
@pytest.mark.parametrize("breaks_at", ["http.response.start", "http.response.body"])
@pytest.mark.parametrize("kind", ["text", "stream", "file"])
async def test_a_client_that_hangs_up_in_mid_response_loses_nothing(app, sessions, tmp_path, token, breaks_at, kind):
    path = tmp_path / "file"
    path.write_text("x" * 2000)

    def view(request):
        request.session["early"] = 1
        return RESPONSES[kind](path)

    serves(app, view)
    with pytest.raises((OSError, ClientDisconnect)):
        await Server(app, sessions, token, breaks_at).serve()
    assert data_of(sessions, token) == {"a": 1, "early": 1}


@pytest.mark.anyio
@pytest.mark.parametrize("breaks_at", ["http.response.start", "http.response.body"])
async def test_a_client_that_hangs_up_after_its_sign_out_is_signed_out(app, sessions, token, breaks_at):
    def view(request):
        logout(request)
        return "bye"

    serves(app, view)
    with pytest.raises(OSError, match="hung up"):
        await Server(app, sessions, token, breaks_at).serve()
    assert sessions.count() == 0


@pytest.mark.anyio
async def test_a_stream_that_is_broken_off_by_a_disconnect_keeps_what_was_stored(app, sessions, token):
    async def forever():
        while True:
            yield "x"
            await asyncio.sleep(0)

    def view(request):
        request.session["early"] = 1
        return StreamingResponse(forever())

    async def gone():
        return {"type": "http.disconnect"}

    async def send(message):
        pass

    serves(app, view)
    older = {**scope_of("/", send_token(token)), "asgi": {"version": "3.0", "spec_version": "2.3"}}
    await app(older, gone, send)  # a server that says by receive() that the client has hung up
    assert data_of(sessions, token) == {"a": 1, "early": 1}


@pytest.mark.anyio
@pytest.mark.parametrize("asked", ["write", "sign-out"])
async def test_what_is_to_be_stored_is_though_the_client_left_while_redis_was_busy(
    redis_url, namespace, make_app, sessions, token, asked
):
    async with AsyncSessionManager(redis_url, namespace=namespace, clock=sessions.clock) as manager:
        execute = manager.store.execute

        async def busily(operation):
            for _ in range(20):
                await asyncio.sleep(0)
            return await execute(operation)

        manager.store.execute = busily

        async def pieces():
            yield "x"

        def view(request):
            if asked == "write":
                request.session["early"] = 1
            else:
                logout(request)
            return StreamingResponse(pieces())

        async def gone():
            return {"type": "http.disconnect"}

        async def send(message):
            pass

        app = make_app(manager)
        serves(app, view)
        older = {**scope_of("/", send_token(token)), "asgi": {"version": "3.0", "spec_version": "2.3"}}
        await app(older, gone, send)
    if asked == "write":
        assert data_of(sessions, token) == {"a": 1, "early": 1}
    else:
        assert sessions.authenticate(token) is None


@pytest.mark.anyio
async def test_an_app_that_never_answers_stores_no_change_but_its_sign_out(make_app, sessions, clock, token):
    async def silent(scope, receive, send):
        Request(scope).session["lost"] = 1

    async def leaving(scope, receive, send):
        logout(Request(scope))

    app = make_app(clock=clock, routes=[Mount("/silent", silent), Mount("/leaving", leaving)])
    await app(scope_of("/silent/", send_token(token)), no_more, None)
    assert data_of(sessions, token) == {"a": 1}
    await app(scope_of("/leaving/", send_token(token)), no_more, None)
    assert sessions.count() == 0


# Other middleware


async def writes_around(request, go_on):
    request.session["before"] = 1
    response = await go_on(request)
    if "late" in request.query_params:
        with pytest.raises(RuntimeError, match=r"save\(\)"):
            request.session["after"] = 1
    else:
        request.session["after"] = 1
    return response


def test_a_dispatching_middleware_inside_ours_changes_the_session_before_and_after_the_view(make_app, browse):
    client = browse(make_app(inside=[Middleware(BaseHTTPMiddleware, dispatch=writes_around)]))
    client.post("/login/ada")
    assert client.get("/me").json()["data"] == {"before": 1, "after": 1}


def test_a_dispatching_middleware_outside_ours_reads_the_session_after_the_view(make_app, browse):
    seen = []

    async def dispatch(request, go_on):
        response = await go_on(request)
        seen.append(current_session(request).user_id)
        with pytest.raises(RuntimeError, match=r"save\(\)"):
            request.session["after"] = 1
        return response

    client = browse(make_app(outside=[Middleware(BaseHTTPMiddleware, dispatch=dispatch)]))
    assert cookies_set(client.post("/login/ada"))
    assert client.get("/me").json()["user"] == "ada"
    assert seen == ["ada", "ada"]


def test_a_dispatching_middleware_inside_that_answers_in_the_views_place_keeps_its_sign_out(make_app, browse, look):
    async def dispatch(request, go_on):
        if request.url.path == "/plain":
            logout(request)
            return PlainTextResponse("you are out", 403)
        return await go_on(request)

    client = browse(make_app(inside=[Middleware(BaseHTTPMiddleware, dispatch=dispatch)]))
    client.post("/login/ada")
    response = client.get("/plain")
    assert response.text == "you are out"
    assert cookies_set(response)[0].removes
    assert look().count() == 0


@pytest.mark.parametrize("around", AROUND)
def test_other_middleware_hinders_neither_sign_in_nor_sign_out(make_app, browse, around):
    client = browse(make_app(**AROUND[around]))
    serves(client.app, lambda request: "x" * 2000)
    client.post("/set/cart/tea")
    client.post("/login/ada")
    assert client.get("/").text == "x" * 2000
    assert (client.get("/me").json()["user"], client.get("/me").json()["data"]) == ("ada", {"cart": "tea"})
    client.post("/logout")
    assert client.get("/me").json()["user"] is None


def test_a_class_of_endpoints_and_one_in_a_thread_use_the_session_as_any_view(make_app, browse):
    class Counter(HTTPEndpoint):
        async def get(self, request):
            request.session["n"] = request.session.get("n", 0) + 1
            return JSONResponse(request.session)

    def threaded(request):
        request.session["n"] += 1
        return JSONResponse(request.session)

    client = browse(make_app(routes=[Route("/counter", Counter), Route("/threaded", threaded)]))
    assert client.get("/counter").json() == {"n": 1}
    assert client.get("/threaded").json() == {"n": 2}
    assert client.get("/counter").json() == {"n": 3}


def test_the_body_of_a_request_is_left_to_the_view(make_app, browse):
    async def put(request):
        request.session.update(await request.json())
        return JSONResponse(request.session)

    client = browse(make_app(routes=[Route("/json", put, methods=["POST"])]))
    assert client.post("/json", content=json.dumps({"a": [1]})).json() == {"a": [1]}


# Apps in apps


@pytest.mark.parametrize("mounted", ["the same app's routes", "an app of its own"])
def test_what_is_mounted_shares_the_session(make_app, browse, mounted):
    def view(request):
        request.session["n"] = request.session.get("n", 0) + 1
        return JSONResponse({"n": request.session["n"], "user": current_session(request).user_id})

    routes = [Route("/view", view)]
    below = (
        Mount("/below", routes=routes) if mounted.startswith("the same") else Mount("/below", Starlette(routes=routes))
    )
    client = browse(make_app(routes=[below]))
    client.post("/login/ada")
    assert client.get("/below/view").json() == {"n": 1, "user": "ada"}
    assert client.get("/me").json()["data"] == {"n": 1}


def test_a_mounted_app_with_a_middleware_of_its_own_has_a_session_of_its_own(make_app, browse):
    inner = make_app(namespace="inner", session_cookie="inner")
    app = make_app(routes=[Mount("/inner", inner)])
    client = browse(app)
    client.post("/login/ada")
    client.post("/inner/login/bob")
    assert set(client.cookies) == {COOKIE, "inner"}
    assert client.get("/me").json()["user"] == "ada"
    assert client.get("/inner/me").json()["user"] == "bob"
    response = client.post("/inner/logout")
    assert [cookie.name for cookie in cookies_set(response)] == ["inner"]
    assert client.get("/me").json()["user"] == "ada"
    assert client.get("/inner/me").json()["user"] is None


def test_a_mounted_app_that_shares_cookie_and_namespace_shares_the_session(make_app, browse):
    app = make_app(routes=[Mount("/inner", make_app())])
    client = browse(app)
    client.post("/inner/login/bob")
    assert client.get("/me").json()["user"] == "bob"
    client.post("/inner/set/a/b")
    assert client.get("/me").json()["data"] == {"a": "b"}
    response = client.post("/inner/logout")
    assert len(cookies_set(response)) == 1
    assert client.get("/me").json()["user"] is None


def test_an_app_below_a_path_keeps_its_cookie_to_that_path(make_app, browse):
    app = make_app(routes=[Mount("/shop", make_app(namespace="shop", path="/shop"))])
    client = browse(app)
    client.post("/shop/login/ada")
    assert client.get("/shop/me").json()["user"] == "ada"
    assert client.get("/me").json()["user"] is None


def test_the_middleware_may_be_wrapped_around_an_app_by_hand(redis_url, namespace, tmp_path, browse, wire):
    from starlette.staticfiles import StaticFiles

    (tmp_path / "style.css").write_text("body {}")

    def enter(request):
        login(request, "ada")
        return PlainTextResponse("in")

    def view(request):
        return PlainTextResponse(str(current_session(request).user_id))

    routes = [Route("/enter", enter), Route("/me", view), Mount("/static", StaticFiles(directory=tmp_path))]
    inner = Starlette(routes=routes)
    client = browse(RedisessMiddleware(inner, redis_url, namespace=namespace))
    client.get("/enter")
    assert token_of(client)
    assert client.get("/me").text == "ada"
    with wire() as seen:
        assert client.get("/static/style.css").text == "body {}"
    assert seen.names == []
    assert "vary" not in client.get("/static/style.css").headers
    assert vary_of(client.get("/me")) == ["cookie"]


@pytest.mark.anyio
async def test_an_app_may_ask_itself_in_the_middle_of_a_request(app, sessions, token):
    async def view(request):
        inner = await ask(app, "/set/inner/1", send_token(token), "POST")
        request.session["outer"] = 1
        return inner.text

    serves(app, view)
    assert (await ask(app, "/", send_token(token))).text == "stored"
    assert data_of(sessions, token) == {"a": 1, "inner": "1", "outer": 1}
