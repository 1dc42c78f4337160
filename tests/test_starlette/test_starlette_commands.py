"""What a request costs: the commands that really reach Redis."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.routing import Mount, Route, Router
from starlette.staticfiles import StaticFiles
from starlette_kit import UNKNOWN_TOKEN, bearer, send_token, serves, visit

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

PAGES = ["/", "/plain", "/me", "/nowhere", "/static/style.css", "/static/missing.css"]


async def both(request):
    session = request.session
    session["seen"] = session.get("seen", 0) + 1
    session["value"] = request.path_params["value"]
    return Response()


async def rotate(request):
    current_session(request).rotate()
    return Response()


async def switch(request):
    logout(request)
    login(request, request.path_params["user"])
    request.session["a"] = 1
    return Response()


class Elaborate(SessionAuthBackend):
    """A backend that looks at the session."""

    async def authenticate(self, conn):
        return await super().authenticate(conn) if current_session(conn).user_id else None


class OwnBackend(AuthenticationBackend):
    async def authenticate(self, conn):
        return AuthCredentials([]), SimpleUser(conn.session.get("name", ""))


async def count_visits(request, call_next):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return await call_next(request)


@pytest.fixture
def files(tmp_path):
    """A mount of static files."""
    (tmp_path / "style.css").write_text("body {}")
    return StaticFiles(directory=tmp_path)


@pytest.fixture
def routes(files):
    methods = ["POST"]
    return [
        Mount("/static", files),
        Mount("/shop", Router([Mount("/files", files), Route("/both/{value}", both, methods=methods)])),
        Route("/both/{value}", both, methods=methods),
        Route("/rotate", rotate, methods=methods),
        Route("/switch/{user}", switch, methods=methods),
    ]


@pytest.fixture
def warm(make_app, routes, browse):
    """A browser without cookies at a furnished app whose every script was loaded once."""
    app = make_app(routes=routes)
    client = browse(app)
    for path in ("/both/0", "/login/ada", "/login/bob", "/both/1", "/rotate", "/switch/eve", "/logout", "/both/1"):
        client.post(path)
    for path in ("/logout", "/set/a/b", "/pop/a"):
        client.post(path)
    client.cookies.clear()
    return client


@pytest.fixture
def cost(warm, wire):
    """Count the commands of one request: `cost("/me", headers)`."""

    def count(path, headers=None, method="GET", client=warm):
        with wire() as seen:
            response = client.request(method, path, headers=headers)
        assert response.status_code < 500
        assert set(seen.names) <= {"EVALSHA"}
        client.cookies.clear()
        return len(seen)

    return count


@pytest.fixture
def token(look):
    return look().create("ada", data={"a": 1}).token


@pytest.fixture
def anonymous(look):
    return look().create(None, data={"a": 1}).token


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("headers", [{}, send_token("malformed"), {"Authorization": "Bearer some.other.thing"}])
def test_a_visitor_without_a_token_costs_nothing(cost, path, headers):
    assert cost(path, headers) == 0


@pytest.mark.parametrize("path", ["/static/style.css", "/static/missing.css"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_static_file_costs_nothing_even_with_a_token(cost, path, method, token):
    assert cost(path, send_token(token), method) == 0


@pytest.mark.parametrize("path", ["/staticky/style.css", "/static", "/both/static/style.css"])
def test_what_only_looks_like_a_static_file_is_a_request_as_any(cost, path, token):
    assert cost(path, send_token(token)) == 1


def test_a_route_before_the_mount_of_static_files_has_its_session(make_app, browse, files, cost, token, wire):
    app = make_app(routes=[Route("/static/{value}", both), Mount("/static", files)])
    client = browse(app)
    client.get("/static/me", headers=send_token(token))
    assert cost("/static/me", send_token(token), client=client) == 2
    assert cost("/static/deeper/me", send_token(token), client=client) == 0


@pytest.mark.parametrize(
    ("inside", "commands"),
    [
        (Middleware(GZipMiddleware), 0),
        (Middleware(AuthenticationMiddleware, backend=SessionAuthBackend()), 0),
        (Middleware(AuthenticationMiddleware, backend=OwnBackend()), 1),
        (Middleware(AuthenticationMiddleware, backend=Elaborate()), 1),
        (Middleware(BaseHTTPMiddleware, dispatch=count_visits), 2),
    ],
    ids=["gzip", "ours", "a backend of one's own", "one derived from ours", "a middleware of one's own"],
)
def test_a_static_file_has_a_session_where_somebody_may_look_at_it(
    make_app, browse, routes, cost, token, inside, commands
):
    client = browse(make_app(routes=routes, inside=[inside]))
    assert cost("/static/style.css", send_token(token), client=client) == commands


def test_a_mount_with_the_middleware_is_not_asked_about_the_static_files_of_the_app_around_it(
    redis_url, namespace, browse, files, token
):
    ours = Middleware(RedisessMiddleware, redis_url, namespace=namespace)
    shop = Mount("/shop", routes=[Route("/static/{value}", both)], middleware=[ours])
    for around in ([], [ours]):
        client = browse(Starlette(routes=[Mount("/static", files), shop], middleware=around))
        assert client.get("/shop/static/x", headers=send_token(token)).status_code == 200
        assert client.get("/static/style.css", headers=send_token(token)).text == "body {}"


@pytest.mark.parametrize("headers", [{}, send_token(UNKNOWN_TOKEN), send_token("garbage")])
def test_what_is_skipped_has_no_session_for_a_visitor_either(make_app, browse, sessions, headers):
    app = make_app(skip=lambda connection: connection.url.path == "/")
    serves(app, lambda request: request.session.update(a=1))
    client = browse(app, raise_server_exceptions=False)
    assert client.get("/", headers=headers).status_code == 500
    assert client.get("/me", headers=headers).status_code == 200
    assert sessions.count() == 0


def test_a_skip_that_answers_with_something_to_await_is_refused(make_app, browse):
    async def later():
        return False

    client = browse(make_app(skip=lambda connection: later()))
    with pytest.raises(TypeError, match="skip: a coroutine returned"):
        client.get("/")


def test_a_page_for_missing_files_may_look_at_the_session(make_app, browse, files, token):
    async def missing(request, error):
        return Response(f"Sorry, {request.session.user_id}", 404)

    client = browse(make_app(routes=[Mount("/static", files)], app={"exception_handlers": {404: missing}}))
    response = client.get("/static/none.css", headers=send_token(token))
    assert (response.status_code, response.text) == (404, "Sorry, ada")


def test_static_files_of_the_applications_own_making_have_a_session(make_app, browse, tmp_path, files, cost, token):
    class Members(StaticFiles):
        async def get_response(self, path, scope):
            return await super().get_response(path, scope) if scope["session"].user_id else Response(status_code=403)

    client = browse(make_app(routes=[Mount("/static", Members(directory=tmp_path))]))
    assert client.get("/static/style.css").status_code == 403
    assert client.get("/static/style.css", headers=send_token(token)).text == "body {}"


def test_static_files_below_a_root_path_cost_nothing(make_app, routes, browse, cost, token):
    client = browse(make_app(routes=routes), root_path="/site")
    for below in ("", "/site"):  # some servers put it before the path, some do not
        assert cost(f"{below}/static/style.css", send_token(token), client=client) == 0
        assert cost(f"{below}/me", send_token(token), client=client) == 1


def test_a_request_that_is_skipped_costs_nothing_even_with_a_token(make_app, browse, cost, token):
    asked = []
    client = browse(
        make_app(skip=lambda connection: asked.append(connection.url.path) or "plain" in str(connection.url))
    )
    assert cost("/plain", send_token(token), client=client) == 0
    assert cost("/me", send_token(token), client=client) == 1
    assert cost("/me", client=client) == 0
    assert asked == ["/plain", "/me", "/me"]


@pytest.mark.parametrize("path", ["/", "/plain", "/me", "/nowhere"])
def test_reading_costs_one(cost, path, token):
    assert cost(path, send_token(token)) == 1
    assert cost(path, bearer(token)) == 1
    assert cost(path, send_token(UNKNOWN_TOKEN)) == 1


def test_reading_and_writing_costs_two(cost, token):
    assert cost("/both/1", send_token(token), "POST") == 2
    assert cost("/both/2", send_token(token), "POST") == 2
    assert cost("/shop/both/3", send_token(token), "POST") == 2


def test_writing_what_is_there_already_costs_no_more_than_reading(cost, anonymous):
    assert cost("/set/b/1", send_token(anonymous), "POST") == 2
    assert cost("/set/b/1", send_token(anonymous), "POST") == 1


def test_a_first_write_costs_one(cost):
    assert cost("/set/a/b", method="POST") == 1


def test_signing_in_costs_one_without_a_session_and_two_with_one(cost, token, anonymous):
    assert cost("/login/ada", method="POST") == 1
    assert cost("/login/ada", send_token(UNKNOWN_TOKEN), "POST") == 2
    assert cost("/login/ada", send_token(anonymous), "POST") == 2
    assert cost("/login/ada", send_token(token), "POST") == 2


def test_signing_in_as_somebody_else_costs_two(cost, token):
    assert cost("/login/bob", send_token(token), "POST") == 2


def test_signing_out_and_in_again_in_one_request_costs_two(cost, token):
    assert cost("/switch/bob", send_token(token), "POST") == 2


def test_signing_out_costs_two_and_nothing_without_a_session(cost, token):
    assert cost("/logout", send_token(token), "POST") == 2
    assert cost("/logout", method="POST") == 0


def test_rotating_costs_two(cost, token):
    assert cost("/rotate", send_token(token), "POST") == 2


def test_emptying_an_anonymous_session_costs_two(cost, anonymous):
    assert cost("/pop/a", send_token(anonymous), "POST") == 2


def test_rolling_a_cookie_costs_one_look_whether_it_is_still_the_right_one(make_app, browse, cost, token):
    client = browse(make_app(rolling=True))
    client.get("/", headers=send_token(token))
    assert cost("/", send_token(token), client=client) == 2
    assert cost("/set/a/1", send_token(token), "POST", client=client) == 2
    assert cost("/", client=client) == 0


@pytest.mark.parametrize(
    "helper",
    [
        sessions,
        logout_others,
        lambda request: end_session(request, "saa" + "0" * 25),
        lambda request: current_session(request).touch(),
        logout_everywhere,
    ],
)
def test_a_helper_that_talks_to_redis_costs_one_more_and_the_end_none(warm, cost, token, look, helper):
    async def view(request):
        await helper(request)

    serves(warm.app, view)
    warm.get("/", headers=send_token(look().create("ada").token))
    assert cost("/", send_token(look().create("ada").token)) == 2


def test_saving_costs_one_and_the_end_none(warm, cost, token):
    async def view(request):
        request.session["saved"] = 1
        await current_session(request).save()
        await current_session(request).save()

    serves(warm.app, view)
    assert cost("/", send_token(token)) == 2


def test_asking_for_the_user_costs_no_more(make_app, browse, routes, cost, token):
    inside = [Middleware(AuthenticationMiddleware, backend=SessionAuthBackend())]
    client = browse(make_app(routes=routes, inside=inside))
    assert cost("/plain", send_token(token), client=client) == 1
    assert cost("/plain", client=client) == 0
    assert cost("/static/style.css", send_token(token), client=client) == 0


def test_a_sign_in_that_changes_the_shard_costs_three(make_app, browse, wire):
    client = browse(make_app(shards=8))
    moves = []
    for n in range(12):
        client.post("/set/a/b")
        with wire() as seen:
            client.post(f"/login/user{n}")
        moves.append(len([name for name in seen.names if name == "EVALSHA"]))
        client.post("/logout")
    assert max(moves) == 3


def test_the_first_request_of_a_process_looks_at_the_namespace_once(make_app, token, wire):
    app = make_app()
    with wire() as seen:
        visit(app, "/", send_token(UNKNOWN_TOKEN))
    assert seen.names == ["EVALSHA", "EVALSHA"]
    with wire() as seen:
        visit(app, "/", send_token(UNKNOWN_TOKEN))
    assert seen.names == ["EVALSHA"]


def test_with_a_lifespan_the_app_has_looked_before_the_first_request(make_app, browse, token, wire):
    with wire() as seen:
        client = browse(make_app())
    assert seen.names == ["EVALSHA", "EVALSHA"]
    with wire() as seen:
        client.get("/", headers=send_token(token))
    assert seen.names == ["EVALSHA"]
