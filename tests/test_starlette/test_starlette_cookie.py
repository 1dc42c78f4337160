"""When the cookie is sent, how, and what else a response tells browsers and caches."""

from __future__ import annotations

import pytest
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, RedirectResponse, Response, StreamingResponse
from starlette_kit import (
    COOKIE,
    UNKNOWN_TOKEN,
    bearer,
    cookies_set,
    send_token,
    serves,
    token_of,
    vary_of,
    visit,
)

from redisess_core import SessionManager
from redisess_starlette import current_session, login, logout


@pytest.fixture
def answer(app):
    """Answer at "/" after *action* of the request: `answer(lambda request: ..., Response("x"))`."""

    def make(action, response=None):
        def view(request):
            action(request)
            return Response("done") if response is None else response

        serves(app, view)

    return make


def write(request):
    request.session["w"] = request.session.get("w", 0) + 1


def sign_in(request):
    login(request, "ada")


# When


def test_the_cookie_has_the_safest_name_and_attributes_by_default(client):
    (cookie,) = cookies_set(client.post("/set/a/b"))
    assert cookie.name == COOKIE
    assert cookie.attributes == {"path": "/", "secure": "", "httponly": "", "samesite": "lax"}


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "__Host-session"),
        ({"https_only": False}, "session"),
        ({"path": "/app"}, "session"),
        ({"domain": "example.com"}, "session"),
        ({"session_cookie": "sid"}, "sid"),
    ],
)
def test_where_the_app_names_no_cookie_its_name_is_as_well_protected_as_it_can_be(make_app, options, name):
    (cookie,) = cookies_set(visit(make_app(**options), "/login/ada", method="POST"))
    assert cookie.name == name


def test_the_cookie_holds_a_token_and_nothing_else(client, sessions):
    client.post("/set/a/b")
    assert dict(sessions.authenticate(token_of(client)).data) == {"a": "b"}


def test_the_cookie_is_sent_when_a_session_begins_and_not_again(client):
    assert cookies_set(client.post("/set/a/b"))
    for path in ("/set/a/c", "/set/d/e", "/pop/d"):
        assert not cookies_set(client.post(path))
    assert not cookies_set(client.get("/me"))


@pytest.mark.parametrize("path", ["/", "/me", "/nowhere"])
@pytest.mark.parametrize("headers", [{}, send_token(UNKNOWN_TOKEN), send_token("junk")])
def test_a_visitor_who_writes_nothing_gets_no_cookie_and_loses_none(app, path, headers, sessions):
    assert not cookies_set(visit(app, path, headers))
    assert sessions.count() == 0


def test_an_anonymous_session_emptied_by_deletions_is_killed_and_its_cookie_removed(client, sessions):
    client.post("/set/a/b")
    (cookie,) = cookies_set(client.post("/pop/a"))
    assert cookie.removes
    assert token_of(client) is None
    assert sessions.count() == 0


def test_a_signed_in_session_emptied_by_deletions_stays(client):
    client.post("/login/ada")
    client.post("/set/a/b")
    assert not cookies_set(client.post("/pop/a"))
    assert client.get("/me").json()["user"] == "ada"


def test_a_sign_out_with_the_cookie_of_a_dead_session_removes_it(app):
    (cookie,) = cookies_set(visit(app, "/logout", send_token(UNKNOWN_TOKEN), "POST"))
    assert cookie.removes
    assert not cookies_set(visit(app, "/logout", method="POST"))


def test_every_kind_of_response_sets_the_cookie(answer, app, tmp_path):
    path = tmp_path / "file"
    path.write_text("x")

    async def chunks():
        yield b"x"

    responses = {
        "redirect": RedirectResponse("/", 303),
        "empty": Response(status_code=204),
        "not modified": Response(status_code=304),
        "stream": StreamingResponse(chunks()),
        "file": FileResponse(path),
        "error": Response(status_code=500),
        "with a cookie of its own": Response(headers={"Set-Cookie": "other=1"}),
        "with a background task": Response(background=BackgroundTask(lambda: None)),
    }
    for name, response in responses.items():
        answer(write, response)
        with_ours = visit(app, "/", follow_redirects=False)
        assert [cookie.name for cookie in cookies_set(with_ours)][-1] == COOKIE, name
        assert with_ours.headers["cache-control"] == "no-store", name


def test_a_file_that_is_asked_for_again_or_in_part_sets_the_cookie(answer, app, tmp_path):
    path = tmp_path / "file"
    path.write_text("0123456789")
    answer(write, FileResponse(path))
    for headers, status in (({"Range": "bytes=2-3"}, 206), ({"Range": "bytes=90-"}, 416)):
        response = visit(app, "/", headers)
        assert response.status_code == status
        assert cookies_set(response)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT"])
def test_other_methods_open_and_keep_the_session(answer, client, method):
    client.post("/set/a/b")
    answer(write)
    assert client.request(method, "/").status_code == 200
    assert client.get("/me").json()["data"] == {"a": "b", "w": 1}


def test_an_error_page_of_the_apps_own_sets_the_cookie(make_app, clock):
    def missing(request, error):
        write(request)
        return Response("not here", 404)

    app = make_app(clock=clock, app={"exception_handlers": {404: missing}})
    response = visit(app, "/nowhere")
    assert response.status_code == 404
    assert cookies_set(response)
    app = make_app(clock=clock, app={"exception_handlers": {ZeroDivisionError: missing}})
    serves(app, lambda request: 1 / 0)
    assert cookies_set(visit(app, "/"))


# Max-Age


def test_a_positive_max_age_is_the_cookies_and_the_idle_timeout(make_app, browse, clock):
    client = browse(make_app(clock=clock, max_age=60))
    (cookie,) = cookies_set(client.post("/login/ada"))
    assert cookie.attributes["max-age"] == "60"
    clock.advance(59)
    assert client.get("/me").json()["user"] == "ada"
    clock.advance(60)
    assert client.get("/me").json()["user"] is None


def test_a_ttl_of_its_own_comes_before_max_age(make_app, browse, clock):
    client = browse(make_app(clock=clock, max_age=60, ttl=600))
    (cookie,) = cookies_set(client.post("/login/ada"))
    assert cookie.attributes["max-age"] == "60"
    clock.advance(599)
    assert client.get("/me", headers=send_token(cookie.value)).json()["user"] == "ada"


def test_max_age_is_the_idle_timeout_beside_a_manager_of_ones_own_too(redis_url, make_app, namespace, look):
    from redisess_core import AsyncSessionManager

    manager = AsyncSessionManager(redis_url, namespace=namespace, ttl=600)
    app = make_app(manager, max_age=60)
    visit(app, "/login/ada", method="POST")
    visit(app, "/set/a/b", method="POST")
    assert [each.ttl for each in look(ttl=600).iter_sessions()] == [60, 60]


def test_the_default_is_a_cookie_of_the_browsers_session_and_the_managers_idle_timeout(client, clock):
    assert "max-age" not in cookies_set(client.post("/login/ada"))[0].attributes
    clock.advance(1799)
    assert client.get("/me").json()["user"] == "ada"
    clock.advance(1800)
    assert client.get("/me").json()["user"] is None


@pytest.mark.parametrize("max_age", [0, -1])
def test_where_cookies_are_over_at_once_nothing_is_stored(make_app, wire, redis_client, max_age):
    app = make_app(max_age=max_age)
    with wire() as seen:
        for path in ("/set/a/b", "/login/ada", "/logout"):
            visit(app, path, send_token(UNKNOWN_TOKEN), "POST")
        (cookie,) = cookies_set(visit(app, "/login/ada", method="POST"))
    assert cookie.attributes["max-age"] == "0"
    assert seen.names == []
    assert redis_client.keys() == []


def test_a_rolling_cookie_is_sent_with_every_response_while_its_session_lives(make_app, browse, clock, sessions):
    client = browse(make_app(clock=clock, max_age=60, rolling=True))
    assert not cookies_set(client.get("/"))
    client.post("/login/ada")
    token = token_of(client)
    for path in ("/", "/me"):
        response = client.get(path)
        assert [(cookie.value, cookie.attributes["max-age"]) for cookie in cookies_set(response)] == [(token, "60")]
        assert vary_of(response) == ["cookie"]
        assert response.headers["cache-control"] == "no-store"
    assert not cookies_set(client.get("/", headers={**bearer(token), "Cookie": ""}))
    sessions.kill_user("ada")
    assert not cookies_set(client.get("/"))


# Vary and Cache-Control


@pytest.mark.parametrize("path", ["/plain", "/nowhere"])
def test_a_response_that_does_not_depend_on_the_session_is_left_to_caches(client, path):
    client.post("/login/ada")
    response = client.get(path)
    assert "vary" not in response.headers
    assert "cache-control" not in response.headers
    assert not cookies_set(response)


@pytest.mark.parametrize("signed_in", [False, True])
@pytest.mark.parametrize(
    "read",
    [
        lambda request: request.session,
        current_session,
        lambda request: current_session(request).user_id,
        lambda request: request.scope["session"].get("a"),
        lambda request: request.scope["session"].user_id,
        lambda request: len(request.scope["session"]),
    ],
)
def test_a_response_that_depends_on_the_session_says_so_however_it_was_asked(client, answer, read, signed_in):
    if signed_in:
        client.post("/login/ada")
    answer(read)
    assert vary_of(client.get("/")) == ["cookie"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"Vary": "Accept-Encoding, Origin"}, ["accept-encoding", "origin", "cookie"]),
        ({"Vary": "cookie"}, ["cookie"]),
        ({"vary": "*"}, ["*"]),
        ({"VARY": "Cookie, Accept"}, ["cookie", "accept"]),
    ],
)
def test_what_the_response_varies_on_already_stays(client, answer, given, expected):
    answer(lambda request: request.session, Response("x", headers=given))
    assert vary_of(client.get("/")) == expected


def test_two_lines_of_vary_become_one(client, answer):
    response = Response("x")
    response.raw_headers += [(b"vary", b"Accept"), (b"Vary", b"Origin")]
    answer(lambda request: request.session, response)
    response = client.get("/")
    assert response.headers.get_list("vary") == ["Accept, Origin, Cookie"]


def test_an_answer_to_a_header_client_varies_on_that_header(make_app, sessions):
    token = sessions.create("ada").token
    assert vary_of(visit(make_app(), "/me", bearer(token))) == ["authorization"]
    app = make_app(header="X-Auth")
    assert vary_of(visit(app, "/me", {"X-Auth": token})) == ["x-auth"]
    assert vary_of(visit(app, "/me", send_token(token))) == ["x-auth", "cookie"]
    assert vary_of(visit(make_app(header=None), "/me", bearer(token))) == ["cookie"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, "no-store"),
        ("public, max-age=600", "no-store"),
        ("no-cache", "no-store"),
        ("private, max-age=60", "private, max-age=60"),
        ("No-Store", "No-Store"),
        ('private="X-A"', "no-store"),
    ],
)
@pytest.mark.parametrize("action", [sign_in, write, lambda request: login(request, "ada", transport="header")])
def test_a_response_that_sets_or_shows_a_token_is_kept_out_of_caches(client, answer, action, given, expected):
    answer(action, Response("x", headers={"Cache-Control": given} if given else {}))
    assert client.get("/").headers.get_list("cache-control") == [expected]


@pytest.mark.parametrize("action", [lambda request: request.session, logout])
def test_a_response_that_sets_no_token_keeps_its_cache_control(client, answer, action):
    client.post("/login/ada")
    answer(action, Response("x", headers={"Cache-Control": "public, max-age=600"}))
    assert client.get("/").headers["cache-control"] == "public, max-age=600"


def test_an_error_page_varies_if_the_view_read_the_session_before_it_failed(app, client):
    def view(request):
        _ = request.session.get("a")
        raise HTTPException(403)

    serves(app, view)
    assert vary_of(client.get("/")) == ["cookie"]


def test_a_response_whose_message_has_no_headers_gets_them(app, client):
    async def view(request):
        write(request)
        return NoHeaders()

    class NoHeaders(Response):
        async def __call__(self, scope, receive, send):
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"x"})

    serves(app, view)
    assert cookies_set(client.get("/"))


def test_headers_that_a_response_object_holds_are_not_changed(answer, app):
    response = Response("the same every time")
    answer(write, response)
    for _ in range(2):
        assert len(cookies_set(visit(app, "/"))) == 1
    assert "set-cookie" not in response.headers


# Clear-Site-Data


def clear(request):
    request.session.clear()


@pytest.mark.parametrize("leave", [logout, clear])
def test_clear_site_data_is_sent_with_a_sign_out_only_where_it_is_asked_for(make_app, browse, leave):
    for options, expected in (({}, None), ({"clear_site_data": True}, '"cache", "cookies", "storage"')):
        app = make_app(**options)
        client = browse(app)
        serves(app, leave)
        assert client.get("/").headers.get("clear-site-data") is None
        client.post("/login/ada")
        assert client.get("/").headers.get("clear-site-data") == expected


def test_clear_site_data_spares_the_cookie_of_the_session_that_follows_a_sign_out(make_app, browse):
    app = make_app(clear_site_data=True)
    client = browse(app)

    def view(request):
        clear(request)
        request.session["note"] = "bye"

    serves(app, view)
    client.post("/login/ada")
    response = client.get("/")
    assert response.headers["clear-site-data"] == '"cache", "storage"'
    assert client.get("/me").json()["data"] == {"note": "bye"}


def test_a_namespace_is_shared_with_whoever_names_it(client, redis_url, namespace, clock):
    client.post("/login/ada")
    with SessionManager(redis_url, namespace=namespace, clock=clock) as elsewhere:
        assert elsewhere.get_all_sessions() == [client.get("/me").json()["id"]]
