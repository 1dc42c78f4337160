"""Errors in the views of apps that are mounted, or wrapped by hand: answered as those of the app around them are."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, Router
from starlette_kit import cookies_set, send_token

from redisess_core import RedisessError, SessionDataTooLarge, SessionGone, SessionLimitReached, StoreUnavailable
from redisess_starlette import RedisessMiddleware, current_session, login, logout

ERRORS = {"away": (StoreUnavailable, 503), "gone": (SessionGone, 401), "limit": (SessionLimitReached, 403)}
EVERY = pytest.mark.parametrize("error", ERRORS)


@pytest.fixture
def broken(browse, look, namespace, redis_url, token):
    """Make an app that is mounted in another, and fails as the test names: `broken("away", inner={...}).ask()`."""
    sessions = look(max_sessions_per_user=1, on_limit="refuse")

    def make(error, *, mount="app", inner=None, outer=None, when="view"):
        async def view(request):
            session = current_session(request)
            match error:
                case "away":
                    manager = session.exchange.state.manager

                    async def unplugged(operation):
                        raise StoreUnavailable("pulled")

                    manager.store.execute = unplugged
                    session["late"] = 1
                case "gone":
                    sessions.kill(session.session_id)
                    session["late"] = 1
                case "limit":
                    login(request, "bob")
                case "large":
                    session["big"] = "x" * sessions.max_data_bytes
            if when == "view":
                await session.save()
            return PlainTextResponse("as the view made it")

        routes = [Route("/", view)]
        match mount:
            case "app":
                made = Mount("/sub", Starlette(routes=routes, exception_handlers=inner))
            case "fastapi":
                app = FastAPI(exception_handlers=inner)
                app.router.routes.extend(routes)
                made = Mount("/sub", app)
            case "nested":
                app = Starlette(routes=routes, exception_handlers=inner)
                made = Mount("/sub", Router([Mount("/", Starlette(routes=[Mount("/", app)]))]))
        options = {"namespace": namespace, "max_sessions_per_user": 1, "on_limit": "refuse"}
        ours = Middleware(RedisessMiddleware, redis_url, **options)
        client = browse(
            Starlette(routes=[made], middleware=[ours], exception_handlers=outer), raise_server_exceptions=False
        )
        return SimpleNamespace(ask=lambda: client.get("/sub/", headers=send_token(token)))

    sessions.create("bob")
    return make


@pytest.fixture
def token(look):
    return look().create("ada", data={"a": 1}).token


def told(status=599, text="handled"):
    """Make a handler, and count what it is asked."""

    def handle(request, error):
        handle.asked += 1
        return PlainTextResponse(f"{text} {type(error).__name__}", status)

    handle.asked = 0
    return handle


@EVERY
@pytest.mark.parametrize("mount", ["app", "fastapi", "nested"])
@pytest.mark.parametrize("when", ["view", "end"])
def test_an_error_is_answered_as_in_the_app_around_it(broken, error, mount, when):
    kind, status = ERRORS[error]
    response = broken(error, mount=mount, when=when).ask()
    if (error, when) == ("gone", "end"):
        status = 200  # the view did not ask
    assert response.status_code == status
    assert ("retry-after" in response.headers) == (kind is StoreUnavailable)
    assert not cookies_set(response)


@EVERY
@pytest.mark.parametrize("when", ["view", "end"])
@pytest.mark.parametrize(
    ("inner", "outer", "text"),
    [
        ({RedisessError: told()}, {}, "handled"),
        ({}, {RedisessError: told()}, "handled"),
        ({RedisessError: told()}, {RedisessError: told(598, "passed over")}, "handled"),
        ({HTTPException: told(598, "passed over")}, {RedisessError: told()}, "handled"),
        ({HTTPException: told()}, {HTTPException: told(598, "passed over")}, "handled"),
        ({Exception: told(500, "the program's own")}, {RedisessError: told()}, "handled"),
    ],
)
def test_a_handler_of_the_mounted_app_goes_before_one_of_the_app_around_it(broken, error, when, inner, outer, text):
    if (error, when) == ("gone", "end"):
        when = "view"
    response = broken(error, inner=inner, outer=outer, when=when).ask()
    assert (response.status_code, response.text.split()[0]) == (599, text)


@EVERY
def test_a_handler_of_the_mounted_app_may_answer_with_500_itself(broken, error):
    response = broken(error, inner={RedisessError: told(500)}).ask()
    assert (response.status_code, response.text) == (500, f"handled {ERRORS[error][0].__name__}")


def test_an_error_of_the_program_in_a_mounted_app_is_its_own(browse, namespace, redis_url):
    def view(request):
        raise ZeroDivisionError

    inner = Starlette(routes=[Route("/", view)])
    ours = Middleware(RedisessMiddleware, redis_url, namespace=namespace)
    handle = told()
    app = Starlette(routes=[Mount("/sub", inner)], middleware=[ours], exception_handlers={RedisessError: handle})
    client = browse(app, raise_server_exceptions=False)
    assert client.get("/sub/").status_code == 500
    assert handle.asked == 0


def test_data_that_is_too_large_in_a_mounted_app_is_answered_as_its_other_errors_of_the_program(broken):
    response = broken("large", inner={Exception: told(500)}).ask()
    assert (response.status_code, response.text) == (500, "handled SessionDataTooLarge")
    response = broken("large", outer={SessionDataTooLarge: told(413)}).ask()
    assert (response.status_code, response.text) == (413, "handled SessionDataTooLarge")


@pytest.mark.parametrize("handled", [False, True])
def test_a_view_of_an_app_that_is_wrapped_by_hand_is_answered_alike(browse, namespace, redis_url, handled):
    async def view(request):
        raise StoreUnavailable("pulled")

    inner = Starlette(routes=[Route("/", view)], exception_handlers={StoreUnavailable: told()} if handled else None)
    client = browse(RedisessMiddleware(inner, redis_url, namespace=namespace), raise_server_exceptions=False)
    response = client.get("/")
    assert response.status_code == (599 if handled else 503)
    assert ("retry-after" in response.headers) != handled


@pytest.mark.parametrize("status", [500, 503])
def test_a_handler_that_has_answered_is_not_asked_again_by_the_end(broken, status):
    handle = told(status)
    response = broken("away", inner={StoreUnavailable: handle}).ask()
    assert (response.status_code, handle.asked) == (status, 1)


@pytest.mark.parametrize("when", ["view", "end"])
def test_a_handler_of_the_app_around_may_answer_with_500_and_is_asked_once(broken, when):
    handle = told(500)
    response = broken("away", outer={StoreUnavailable: handle}, when=when).ask()
    assert (response.status_code, response.text, handle.asked) == (500, "handled StoreUnavailable", 1)


class CatchAll:
    """A middleware that answers every error itself, with 500."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        try:
            await self.app(scope, receive, send)
        except Exception as error:  # noqa: BLE001  that is what it is
            await PlainTextResponse(f"caught {type(error).__name__}", 500)(scope, receive, send)


def gone(request):
    raise SessionGone("an id")


def test_what_a_middleware_of_the_mounted_app_answers_stays(browse, namespace, redis_url):
    inner = Starlette(routes=[Route("/", gone)], middleware=[Middleware(CatchAll)])
    ours = Middleware(RedisessMiddleware, redis_url, namespace=namespace)
    client = browse(Starlette(routes=[Mount("/sub", inner)], middleware=[ours]))
    response = client.get("/sub/")
    assert (response.status_code, response.text) == (500, "caught SessionGone")


def test_an_error_that_something_around_us_is_handling_is_none_of_ours(browse, namespace, redis_url):
    async def answers(scope, receive, send):
        await PlainTextResponse("its own", 500)(scope, receive, send)

    class Retry(CatchAll):
        async def __call__(self, scope, receive, send):
            try:
                gone(None)
            except SessionGone:
                await self.app(scope, receive, send)

    ours = Middleware(RedisessMiddleware, redis_url, namespace=namespace)
    client = browse(
        Starlette(routes=[Mount("/sub", Starlette(routes=[Mount("/", answers)]))], middleware=[Middleware(Retry), ours])
    )
    response = client.get("/sub/")
    assert (response.status_code, response.text) == (500, "its own")


@pytest.mark.parametrize("by_hand", [False, True])
@pytest.mark.parametrize("ask", ["login", "logout", "write"])
def test_a_view_of_a_mounted_app_that_fails_changes_nothing_but_signs_out(
    browse, look, namespace, redis_url, token, by_hand, ask
):
    def view(request):
        match ask:
            case "login":
                login(request, "bob")
            case "logout":
                logout(request)
            case "write":
                request.session["late"] = 1
        raise ZeroDivisionError

    inner = Starlette(routes=[Route("/", view)])
    app = RedisessMiddleware(inner, redis_url, namespace=namespace)
    if not by_hand:
        app = Starlette(
            routes=[Mount("/", inner)], middleware=[Middleware(RedisessMiddleware, redis_url, namespace=namespace)]
        )
    response = browse(app, raise_server_exceptions=False).get("/", headers=send_token(token))
    assert response.status_code == 500
    left = look().authenticate(token)
    assert left is None if ask == "logout" else left.data == {"a": 1}
    assert look().count_for_user("bob") == 0
    assert [cookie.removes for cookie in cookies_set(response)] == ([True] if ask == "logout" else [])
