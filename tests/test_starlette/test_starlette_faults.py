"""Redis away, sign-ins that are refused, sessions that are gone, errors of the program: who answers, and how."""

from __future__ import annotations

import functools
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace

import pytest
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette_kit import (
    UNKNOWN_TOKEN,
    bearer,
    cookies_set,
    send_token,
    serves,
    token_of,
    vary_of,
    visit,
)

from redisess_core import (
    NamespaceMismatch,
    RedisessError,
    SessionDataTooLarge,
    SessionGone,
    SessionLimitReached,
    SessionManager,
    StoreUnavailable,
)
from redisess_starlette import current_session, login, logout, logout_others, manager, sessions

DEAD = "redis://127.0.0.1:1/0"


class Plug:
    """Cuts a client off from Redis, as a network does that fails: connections are refused until it is put in again."""

    def __init__(self, client):
        self.pool = client.connection_pool
        self.port = self.pool.connection_kwargs["port"]

    async def pull(self):
        await self._connect_to(1)

    async def put(self):
        await self._connect_to(self.port)

    async def _connect_to(self, port):
        await self.pool.disconnect()
        self.pool.reset()
        self.pool.connection_kwargs["port"] = port


@pytest.fixture
def away(make_app, browse, redis_url):
    """Make an app that a view or the test cuts off from Redis: `away().pull()`.

    Its browser is signed in as ada with `a` in the session. *handlers* are the app's for errors; at "/late" something
    is stored when Redis is away already.
    """

    def make(handlers=None, **options):
        client = redis.asyncio.Redis.from_url(redis_url, socket_timeout=10, retry=Retry(NoBackoff(), 0))
        plug = Plug(client)

        @asynccontextmanager
        async def lifespan(app):
            yield
            await client.aclose()

        app = make_app(client, app={"exception_handlers": handlers or {}, "lifespan": lifespan}, **options)

        async def late(request):
            request.session["late"] = 1
            await plug.pull()
            return "late"

        browser = browse(app)
        browser.post("/login/ada")
        browser.post("/set/a/1")
        serves(app, late)
        return SimpleNamespace(
            app=app,
            client=browser,
            plug=plug,
            token=token_of(browser),
            pull=lambda: browser.portal.call(plug.pull),
            put=lambda: browser.portal.call(plug.put),
        )

    return make


def ask(site, when):
    """Visit a page for which Redis is away when the session is opened, or only when it is stored."""
    if when == "open":
        site.pull()
        return site.client.get("/me")
    return site.client.get("/")


BOTH = pytest.mark.parametrize("when", ["open", "end"])


# Redis away


@BOTH
def test_redis_away_is_answered_with_503_and_leaves_the_cookie_alone(away, when):
    site = away()
    response = ask(site, when)
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    assert not cookies_set(response)
    assert token_of(site.client) == site.token
    assert "session store" in response.text
    assert "127.0.0.1" not in response.text


@BOTH
def test_redis_away_and_back_has_signed_nobody_out_and_lost_nothing_else(away, when):
    site = away()
    ask(site, when)
    assert site.client.get("/me").status_code == 503
    site.put()
    me = site.client.get("/me").json()
    assert (me["user"], me["data"]) == ("ada", {"a": "1"})


def test_the_log_says_why_a_request_is_answered_with_503(away, caplog):
    site = away()
    ask(site, "open")
    (line,) = (record.getMessage() for record in caplog.records if record.name == "redisess")
    assert line.startswith("answered with 503: Redis cannot be used now: ConnectionError: ")
    assert site.token not in line


def test_a_redis_that_is_stopped_is_away_and_a_restart_goes_unnoticed_but_for_what_it_forgot(
    make_app, browse, start_server
):
    server = start_server()
    client = browse(make_app(server.url))
    client.post("/login/ada")
    token = token_of(client)
    server.stop()
    assert client.get("/me").status_code == 503
    assert token_of(client) == token
    server.start()
    assert client.get("/me").json()["user"] is None
    client.post("/login/ada")
    server.client().script_flush()
    assert client.get("/me").json()["user"] == "ada"
    server.client().script_flush()
    client.post("/set/b/2")
    assert client.get("/me").json()["data"] == {"b": "2"}


def test_nobody_is_signed_out_by_a_redis_that_paused(make_app, start_server):
    server = start_server()
    app, hasty = (make_app(f"{server.url}?socket_timeout={secs}") for secs in (10, 0.1))
    (cookie,) = cookies_set(visit(app, "/login/ada", method="POST"))
    server.pause()
    response = visit(hasty, "/me", send_token(cookie.value))
    assert response.status_code == 503
    assert not cookies_set(response)
    server.resume()
    assert visit(app, "/me", send_token(cookie.value)).json()["user"] == "ada"


def test_pages_that_need_no_session_are_served_while_redis_is_away(make_app, tmp_path):
    (tmp_path / "style.css").write_text("body {}")
    app = make_app(
        DEAD,
        routes=[Mount("/static", StaticFiles(directory=tmp_path))],
        skip=lambda connection: connection.url.path == "/plain",
    )
    for path in ("/", "/plain", "/me", "/static/style.css", "/nowhere"):
        assert visit(app, path).status_code < 500
    for path in ("/plain", "/static/style.css"):
        assert visit(app, path, send_token(UNKNOWN_TOKEN)).status_code == 200
    for path in ("/", "/me", "/nowhere"):
        assert visit(app, path, send_token(UNKNOWN_TOKEN)).status_code == 503
    assert visit(app, "/set/a/b", method="POST").status_code == 503


@BOTH
def test_a_header_client_is_answered_alike(away, when):
    site = away()
    if when == "open":
        site.pull()
    response = site.client.get("/", headers={**bearer(site.token), "Cookie": ""})
    assert (response.status_code, vary_of(response)) == (503, [] if when == "open" else ["authorization"])


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_other_methods_are_answered_alike_while_redis_is_away(away, method):
    site = away()
    site.pull()
    assert site.client.request(method, "/").status_code == 503


def test_a_sign_in_while_redis_is_away_shows_no_token_and_sets_no_cookie(away):
    site = away()

    async def view(request):
        login(request, "ada", transport=request.query_params["transport"])
        await site.plug.pull()
        return {"token": current_session(request).token}

    serves(site.app, view)
    for transport in ("header", "cookie"):
        site.put()
        response = site.client.get(f"/?transport={transport}")
        assert response.status_code == 503
        assert "token" not in response.text
        assert not cookies_set(response)


def test_a_sign_out_while_redis_is_away_is_not_pretended(away):
    site = away()

    async def view(request):
        logout(request)
        await site.plug.pull()
        return "bye"

    serves(site.app, view)
    response = site.client.get("/")
    assert response.status_code == 503
    assert not cookies_set(response)
    assert token_of(site.client) == site.token


AROUND = {
    "alone": {},
    "gzip inside": {"inside": [Middleware(GZipMiddleware)]},
    "dispatch inside": {"inside": [Middleware(BaseHTTPMiddleware, dispatch=lambda request, go_on: go_on(request))]},
    "dispatch outside": {"outside": [Middleware(BaseHTTPMiddleware, dispatch=lambda request, go_on: go_on(request))]},
}


@pytest.mark.parametrize("around", AROUND)
@BOTH
def test_other_middleware_does_not_spoil_the_answer(away, around, when):
    site = away(**AROUND[around])
    response = ask(site, when)
    assert (response.status_code, response.text) == (503, "The session store cannot be reached.")
    assert token_of(site.client) == site.token


def test_the_answer_in_place_of_the_views_keeps_nothing_of_it_and_begins_nothing(away, tmp_path):
    site, begun = away(), []
    path = tmp_path / "file"
    path.write_text("secret")

    def chunks():
        begun.append("stream")
        yield "secret"

    task = BackgroundTask(begun.append, "task")
    kept = {"X-Secret": "1", "Set-Cookie": "other=1", "ETag": "x"}
    for response in (
        PlainTextResponse("secret", 201, kept, background=task),
        StreamingResponse(chunks(), headers=kept, background=task),
        FileResponse(path, headers=kept, background=task),
        Response(status_code=304, headers=kept, background=task),
    ):
        site.put()

        async def view(request, response=response):
            request.session["late"] = 1
            await site.plug.pull()
            return response

        serves(site.app, view)
        given = site.client.get("/")
        assert given.status_code == 503
        assert "secret" not in given.text
        assert {"x-secret", "set-cookie", "etag"}.isdisjoint(given.headers)
        assert int(given.headers["content-length"]) == len(given.content)
        assert vary_of(given) == ["cookie"]
    assert begun == []


def test_redis_away_in_the_middle_of_a_stream_breaks_it_off_and_begins_no_second_answer(away):
    async def chunks(request):
        yield "x"
        await site.plug.pull()
        await sessions(request)

    site = away({StoreUnavailable: told()})
    serves(site.app, lambda request: StreamingResponse(chunks(request)))
    with pytest.raises(RuntimeError, match="response already started"):  # Starlette's own, where there is a handler
        site.client.get("/")
    site = away()
    serves(site.app, lambda request: StreamingResponse(chunks(request)))
    with pytest.raises(StoreUnavailable):
        site.client.get("/")


def test_an_app_that_goes_on_sending_after_the_answer_is_not_heard(away):
    async def stubborn(scope, receive, send):
        Request(scope).session["late"] = 1
        await site.plug.pull()
        for message in (
            {"type": "http.response.start", "status": 200, "headers": []},
            {"type": "http.response.body", "body": b"secret"},
        ):
            with suppress(StoreUnavailable):
                await send(message)

    site = away(routes=[Mount("/stubborn", stubborn)])
    response = site.client.get("/stubborn/")
    assert (response.status_code, response.text) == (503, "The session store cannot be reached.")


# The application's own answers


def told(status=599):
    """Make a handler that says which error it was given."""
    return lambda request, error: PlainTextResponse(f"handled {type(error).__name__}", status)


async def awaited(request, error):
    return PlainTextResponse("handled asynchronously", 599)


class Callable:
    """A handler that is an object, as those of some applications are."""

    async def __call__(self, request, error):
        return PlainTextResponse("handled by an object", 599)


@BOTH
@pytest.mark.parametrize(
    ("handlers", "text"),
    [
        ({StoreUnavailable: told()}, "handled StoreUnavailable"),
        ({RedisessError: told()}, "handled StoreUnavailable"),
        ({503: told()}, "handled HTTPException"),
        ({HTTPException: told()}, "handled HTTPException"),
        ({RedisessError: told(598), StoreUnavailable: told()}, "handled StoreUnavailable"),
        ({503: told(), HTTPException: told(598)}, "handled HTTPException"),
        ({503: told(598), HTTPException: told(598), RedisessError: told()}, "handled StoreUnavailable"),
        ({StoreUnavailable: awaited}, "handled asynchronously"),
        ({StoreUnavailable: functools.partial(awaited)}, "handled asynchronously"),
        ({StoreUnavailable: Callable()}, "handled by an object"),
    ],
)
def test_the_apps_handler_comes_first(away, when, handlers, text):
    site = away(handlers)
    response = ask(site, when)
    assert (response.status_code, response.text) == (599, text)
    assert token_of(site.client) == site.token


@BOTH
@pytest.mark.parametrize("key", [500, Exception])
def test_a_handler_of_every_error_of_the_program_does_not_take_it_for_one(away, when, key):
    response = ask(away({key: told()}), when)
    assert response.status_code == 503


@BOTH
def test_the_handler_of_a_status_is_told_when_to_try_again(away, when):
    def handle(request, error):
        return PlainTextResponse(error.detail, error.status_code, {**error.headers, "X-Ours": "1"})

    response = ask(away({503: handle}), when)
    assert response.status_code == 503
    assert {"retry-after", "x-ours"} <= set(response.headers)


@BOTH
def test_a_handler_may_redirect_stream_or_send_a_file(away, when, tmp_path):
    path = tmp_path / "page"
    path.write_text("a moment, please")
    for answer in (
        RedirectResponse("/plain", 303),
        StreamingResponse(iter(["a moment, ", "please"])),
        FileResponse(path),
    ):
        handlers = {StoreUnavailable: lambda request, error, answer=answer: answer}
        site = away(handlers, skip=lambda connection: connection.url.path == "/plain")
        response = ask(site, when)
        assert response.text in ("plain", "a moment, please")
        assert token_of(site.client) == site.token


@BOTH
def test_a_handler_may_use_the_session_and_nothing_is_stored(away, look, when):
    seen = []

    def handle(request, error):
        session = current_session(request)
        seen.append((session.user_id, dict(session)))
        session["note"] = "try again"
        return PlainTextResponse("a moment, please", 503)

    site = away({StoreUnavailable: handle})
    response = ask(site, when)
    assert (response.status_code, response.text) == (503, "a moment, please")
    assert vary_of(response) == ["cookie"]
    assert not cookies_set(response)
    # What could not be opened is empty; what could not be stored is what the view made of it.
    assert seen == [(None, {})] if when == "open" else [("ada", {"a": "1", "late": 1})]
    assert dict(look().authenticate(site.token).data) == {"a": "1"}


@BOTH
def test_a_handler_that_fails_is_an_error_of_the_program_and_is_asked_once(away, when):
    asked = []

    def handle(request, error):
        asked.append(error)
        raise ZeroDivisionError

    site = away({StoreUnavailable: handle})
    with pytest.raises(ZeroDivisionError):
        ask(site, when)
    assert len(asked) == 1


@BOTH
def test_a_handler_that_raises_the_error_again_is_asked_once(away, when):
    asked = []

    def handle(request, error):
        asked.append(error)
        raise error

    site = away({StoreUnavailable: handle})
    with pytest.raises((StoreUnavailable, RuntimeError)) as raised:  # Starlette's own, of a response that had begun
        ask(site, when)
    assert asked == [raised.value] if when == "open" else [raised.value.__cause__]


def test_redis_away_for_a_helper_in_the_view_is_503_unless_the_view_catches_it(away):
    async def view(request):
        await site.plug.pull()
        for work in (sessions, logout_others, lambda request: manager(request).count()):
            try:
                await work(request)
            except StoreUnavailable:
                if "pass" in request.query_params:
                    raise
        return "caught"

    for handlers, status in ({}, 503), ({StoreUnavailable: told()}, 599), ({503: told()}, 599):
        site = away(handlers)
        serves(site.app, view)
        assert site.client.get("/").text == "caught"
        site.put()
        assert site.client.get("/?pass=on").status_code == status
        assert token_of(site.client) == site.token


def test_a_503_of_the_apps_own_is_not_ours(app, client):
    def view(request):
        request.session["a"] = 1
        raise HTTPException(503, "closed on Sundays")

    serves(app, view)
    response = client.get("/")
    assert (response.status_code, response.text) == (503, "closed on Sundays")
    assert "retry-after" not in response.headers
    assert client.get("/me").json()["data"] == {"a": 1}


# Refused sign-ins


@pytest.fixture
def limited(make_app, browse, clock):
    """Make apps where ada, signed in elsewhere, may have one session only: `limited(handlers)`."""

    def make(handlers=None):
        app = make_app(
            clock=clock,
            max_sessions_per_user=1,
            on_limit="refuse",
            app={"exception_handlers": handlers or {}},
        )
        visit(app, "/login/ada", method="POST")
        return browse(app)

    return make


def test_a_sign_in_that_the_limit_refuses_is_403_and_leaves_everything_as_it_was(limited, look, clock):
    client = limited()
    client.post("/set/cart/tea")
    token = token_of(client)
    response = client.post("/login/ada")
    assert response.status_code == 403
    assert not cookies_set(response)
    assert token_of(client) == token
    assert client.get("/me").json()["data"] == {"cart": "tea"}
    assert look(clock=clock, max_sessions_per_user=1, on_limit="refuse").count_for_user("ada") == 1


@pytest.mark.parametrize("key", [SessionLimitReached, RedisessError, 403, HTTPException])
def test_the_apps_handler_of_a_refusal_comes_first_and_may_use_the_session(limited, key):
    def handle(request, error):
        request.session["note"] = "too many devices"
        return RedirectResponse("/me", 303)

    client = limited({key: handle})
    me = client.post("/login/ada").json()
    assert (me["user"], me["data"]) == (None, {"note": "too many devices"})


def test_a_view_that_catches_the_refusal_answers_as_it_likes(limited):
    async def view(request):
        login(request, "ada")
        try:
            await request.session.save()
        except SessionLimitReached:
            return "no more devices"

    client = limited()
    serves(client.app, view)
    assert client.get("/").text == "no more devices"
    assert client.get("/me").json()["user"] is None


def test_a_refusal_that_the_view_passes_on_is_403(limited):
    async def view(request):
        login(request, "ada")
        await request.session.save()

    client = limited()
    serves(client.app, view)
    assert client.get("/").status_code == 403


def test_a_handler_that_signs_in_again_is_refused_in_the_end(limited):
    def handle(request, error):
        login(request, "ada")
        return PlainTextResponse("you are in")

    client = limited({SessionLimitReached: handle})
    response = client.post("/login/ada")
    assert response.status_code in (200, 403)
    assert not cookies_set(response)
    assert client.get("/me").json()["user"] is None


# Sessions that are gone


@pytest.mark.parametrize("handlers", [{}, {SessionGone: told()}, {401: told()}])
def test_a_session_that_is_gone_is_401_where_the_view_does_not_catch_it(make_app, browse, look, handlers):
    app = make_app(app={"exception_handlers": handlers})
    client = browse(app)
    client.post("/login/ada")
    token = token_of(client)

    async def view(request):
        look().kill_user("ada")
        await logout_others(request)

    serves(app, view)
    response = client.get("/")
    assert response.status_code == (599 if handlers else 401)
    assert not cookies_set(response)
    assert token_of(client) == token


# Errors of the program


ERRORS = {
    "unstorable": (lambda session: session["list"].append(object()), TypeError),
    "oversized": (lambda session: session.update(big="x" * 200), SessionDataTooLarge),
}


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("testing", [False, True])
def test_data_that_cannot_be_stored_is_an_error_of_the_program(make_app, browse, look, kind, testing):
    spoil, error = ERRORS[kind]
    app = make_app(max_data_bytes=100)
    client = browse(app, raise_server_exceptions=testing)
    token = look(max_data_bytes=100).create("ada", data={"list": []}).token

    def view(request):
        spoil(request.session)
        return "fine"

    serves(app, view)
    if testing:
        with pytest.raises(error):
            client.get("/", headers=send_token(token))
    else:
        response = client.get("/", headers=send_token(token))
        assert response.status_code == 500
        assert not cookies_set(response)
    assert dict(look(max_data_bytes=100).authenticate(token).data) == {"list": []}


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("key", ["the error", Exception, 500])
def test_the_apps_handler_of_an_error_of_the_program_is_asked_once(make_app, browse, look, kind, key):
    asked = []

    def handle(request, error):
        asked.append(type(error))
        return PlainTextResponse("handled", 599)

    spoil, error = ERRORS[kind]
    app = make_app(max_data_bytes=100, app={"exception_handlers": {error if key == "the error" else key: handle}})
    client = browse(app, raise_server_exceptions=False)
    serves(app, lambda request: spoil(request.session))
    token = look(max_data_bytes=100).create("ada", data={"list": []}).token
    assert client.get("/", headers=send_token(token)).text == "handled"
    assert asked == [error]


@pytest.mark.parametrize("kind", ERRORS)
def test_a_sign_out_is_carried_out_even_where_the_data_beside_it_is_refused(make_app, browse, look, kind):
    spoil, error = ERRORS[kind]
    client = browse(make_app(max_data_bytes=100))
    client.post("/login/ada")

    def view(request):
        logout(request)
        request.session["list"] = []
        spoil(request.session)

    serves(client.app, view)
    with pytest.raises(error):
        client.get("/")
    assert look(max_data_bytes=100).count() == 0


def test_a_view_that_catches_oversized_data_answers_as_it_likes(make_app, browse):
    async def view(request):
        request.session["big"] = "x" * 200
        try:
            await request.session.save()
        except SessionDataTooLarge:
            return "too much"

    client = browse(make_app(max_data_bytes=100))
    client.post("/set/a/b")
    serves(client.app, view)
    assert client.get("/").text == "too much"
    assert client.get("/me").json()["data"] == {"a": "b"}


def test_a_session_of_another_layout_is_an_error_of_the_program_and_may_be_handled(make_app, redis_url, namespace):
    def handle(request, error):
        return PlainTextResponse(f"{type(error).__name__}: {current_session(request).user_id}", 500)

    with SessionManager(redis_url, namespace=namespace, shards=8) as other:
        other.create("ada")
    with pytest.raises(NamespaceMismatch):
        visit(make_app(), "/me", send_token(UNKNOWN_TOKEN))
    handled = make_app(app={"exception_handlers": {RedisessError: handle}})
    assert visit(handled, "/me", send_token(UNKNOWN_TOKEN)).text == "NamespaceMismatch: None"


def test_a_skip_that_fails_fails_as_a_view_does(make_app):
    def skip(connection):
        raise ZeroDivisionError

    app = make_app(skip=skip)
    for headers in ({}, send_token(UNKNOWN_TOKEN)):
        with pytest.raises(ZeroDivisionError):
            visit(app, "/me", headers)


def test_a_view_that_asks_for_the_session_that_was_skipped_is_told_so(make_app):
    app = make_app(skip=lambda connection: True)
    with pytest.raises(RuntimeError, match="skip"):
        visit(app, "/me", send_token(UNKNOWN_TOKEN))
    assert visit(app, "/plain", send_token(UNKNOWN_TOKEN)).status_code == 200
