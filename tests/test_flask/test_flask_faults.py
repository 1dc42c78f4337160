from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
import redis
from flask import Blueprint, abort, flash, get_flashed_messages, redirect, send_file, session
from site_kit import cookies_set, manager_of, send_token, token_of, vary_of, visit
from werkzeug.exceptions import HTTPException, InternalServerError, ServiceUnavailable

from redisess_core import RedisessError, SessionDataTooLarge, SessionGone, SessionLimitReached, StoreUnavailable
from redisess_flask import current_session, login, logout, manager, sessions

DEAD = "redis://127.0.0.1:1/0"


class Plug:
    """Cuts an app off from Redis, as a network does that fails: connections are refused until it is put in again."""

    def __init__(self, app):
        self.pool = manager_of(app).client.connection_pool
        self.port = self.pool.connection_kwargs["port"]

    def pull(self):
        self._connect_to(1)

    def put(self):
        self._connect_to(self.port)

    def _connect_to(self, port):
        self.pool.disconnect()
        self.pool.reset()
        self.pool.connection_kwargs["port"] = port


@pytest.fixture
def away(make_app):
    """Make an app that a view or the test cuts off from Redis: `away().plug.pull()`.

    Its client is signed in as ada with `a` in the session. `views(app)` may add to it.
    """

    def make(views=None, before=None, **config):
        app = make_app(before, **config)
        plug = Plug(app)

        @app.route("/save", methods=["GET", "POST"])
        def save():
            plug.pull()
            session["late"] = 1
            return "saved"

        if views is not None:
            views(app)
        client = app.test_client()
        client.post("/login/ada")
        client.post("/set/a/1")
        return SimpleNamespace(app=app, client=client, plug=plug, token=token_of(client))

    return make


def ask(site, when):
    """Visit a page for which Redis is away when the session is opened, or only when it is saved."""
    if when == "open":
        site.plug.pull()
        return site.client.get("/me")
    return site.client.post("/save")


BOTH = pytest.mark.parametrize("when", ["open", "save"])


# Redis away


@BOTH
@pytest.mark.parametrize("testing", [False, True])
def test_redis_away_is_answered_with_503_and_leaves_the_cookie_alone(away, when, testing):
    site = away(TESTING=testing)
    response = ask(site, when)
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    assert not cookies_set(response)
    assert token_of(site.client) == site.token
    assert "session store" in response.text
    assert "127.0.0.1" not in response.text


def test_the_log_says_why_a_request_is_answered_with_503(away, caplog):
    site = away()
    ask(site, "open")
    (line,) = (record.getMessage() for record in caplog.records if record.name == "redisess")
    assert line.startswith("answered with 503: Redis cannot be used now: ConnectionError: ")
    assert site.token not in line


@BOTH
def test_nobody_is_signed_out_by_a_redis_that_paused(make_app, start_server, when):
    server = start_server()
    app, hasty = (make_app(REDISESS_URL=f"{server.url}?socket_timeout={secs}") for secs in (1, 0.1))

    @app.post("/save")
    def save():
        server.pause()
        session["late"] = 1
        return "saved"

    sent = send_token(manager_of(app).create("ada").token)
    if when == "open":
        server.pause()
        response = visit(hasty, "/me", sent)
    else:
        response = visit(app, "/save", sent, "POST")
    assert response.status_code == 503
    assert not cookies_set(response)
    server.resume()
    assert visit(app, "/me", sent).json["user"] == "ada"


def test_a_redis_that_is_stopped_is_away_and_a_restart_goes_unnoticed_but_for_what_it_forgot(make_app, start_server):
    server = start_server()
    app = make_app(REDISESS_URL=server.url)
    client = app.test_client()
    client.post("/login/ada")
    token = token_of(client)
    server.stop()
    assert client.get("/me").status_code == 503
    assert token_of(client) == token
    server.start()
    assert client.get("/me").json["user"] is None
    client.post("/login/ada")
    server.client().script_flush()
    assert client.get("/me").json["user"] == "ada"
    server.client().script_flush()
    client.post("/set/b/2")
    assert client.get("/me").json["data"] == {"b": "2"}


def test_pages_that_need_no_session_are_served_while_redis_is_away(make_app):
    app = make_app(REDISESS_URL=DEAD)
    for path in ("/", "/me", "/static/style.css"):
        assert visit(app, path).status_code == 200
    assert visit(app, "/set/a/b", method="POST").status_code == 503
    assert visit(app, "/static/style.css", {"Cookie": "session=1aa" + "a" * 26}).status_code == 200
    assert visit(app, "/", {"Cookie": "session=1aa" + "a" * 26}).status_code == 503


def test_a_page_that_is_skipped_is_served_while_redis_is_away(away):
    site = away(REDISESS_SKIP=lambda request: request.path == "/")
    site.plug.pull()
    assert site.client.get("/").status_code == 200
    assert site.client.get("/me").status_code == 503


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_other_methods_are_answered_alike_while_redis_is_away(away, method):
    site = away()
    site.plug.pull()
    response = site.client.open("/me", method=method)
    assert response.status_code == 503
    assert response.data == b"" if method == "HEAD" else response.data


def test_a_sign_in_while_redis_is_away_shows_no_token(away):
    def views(app):
        @app.post("/token")
        def token():
            login("ada", transport="header")
            site.plug.pull()
            return {"token": current_session.token}

    site = away(views)
    response = site.client.post("/token")
    assert response.status_code == 503
    assert "token" not in response.text


def test_a_sign_out_while_redis_is_away_is_not_pretended(away):
    def views(app):
        @app.post("/leave")
        def leave():
            logout()
            site.plug.pull()
            return "bye"

    site = away(views)
    response = site.client.post("/leave")
    assert response.status_code == 503
    assert not cookies_set(response)
    assert token_of(site.client) == site.token


def test_the_answer_in_place_of_the_views_keeps_nothing_of_it(away):
    def views(app):
        @app.post("/page")
        def page():
            site.plug.pull()
            session["late"] = 1
            response = app.make_response(("secret", 201, {"X-Secret": "1", "Content-Type": "text/plain"}))
            response.set_cookie("other", "1")
            response.set_etag("x")
            return response

    site = away(views)
    response = site.client.post("/page")
    assert response.status_code == 503
    assert "secret" not in response.text
    assert {"X-Secret", "Set-Cookie", "ETag"}.isdisjoint(response.headers.keys())
    assert response.mimetype == "text/html"
    assert int(response.headers["Content-Length"]) == len(response.data)
    assert vary_of(response) == ["cookie"]


def test_the_answer_in_place_of_a_file_closes_it(away, tmp_path):
    opened = []

    def views(app):
        @app.post("/file")
        def file():
            site.plug.pull()
            session["late"] = 1
            opened.append((tmp_path / "file").open("w+b"))
            return send_file(opened[0], mimetype="text/plain")

    site = away(views)
    response = site.client.post("/file")
    assert response.status_code == 503
    assert opened[0].closed


def test_the_answer_in_place_of_a_stream_never_starts_it(away):
    started = []

    def views(app):
        @app.post("/stream")
        def stream():
            site.plug.pull()
            session["late"] = 1

            def chunks():
                started.append(True)
                yield "x"

            return app.response_class(chunks())

    site = away(views)
    assert site.client.post("/stream").status_code == 503
    assert started == []


@BOTH
def test_after_request_functions_see_the_answer_too(away, when):
    def views(app):
        @app.after_request
        def allow(response):
            response.headers["Access-Control-Allow-Origin"] = "*"
            return response

    response = ask(away(views), when)
    assert response.status_code == 503
    assert response.headers["Access-Control-Allow-Origin"] == "*"


@BOTH
def test_an_after_request_function_may_read_the_session_for_the_answer(away, when):
    seen = []

    def views(app):
        @app.after_request
        def look(response):
            seen.append(session.get("a"))
            return response

    site = away(views)
    seen.clear()
    response = ask(site, when)
    assert response.status_code == 503
    assert not cookies_set(response)
    assert set(seen) == ({"1"} if when == "save" else {None})


# The app's own handlers


HANDLED = [StoreUnavailable, RedisessError, Exception, ServiceUnavailable, 503, HTTPException]


@BOTH
@pytest.mark.parametrize("handled", HANDLED, ids=str)
@pytest.mark.parametrize("order", ["before", "after"])
def test_the_apps_handler_comes_first_in_whatever_order_it_is_registered(away, when, handled, order):
    caught = []

    def register(app):
        @app.errorhandler(handled)
        def handle(error):
            caught.append(error)
            return "we are busy", 599, {"X-Handled": "yes"}

    site = away(before=register) if order == "before" else away(register)
    response = ask(site, when)
    assert (response.status_code, response.text, response.headers["X-Handled"]) == (599, "we are busy", "yes")
    assert not cookies_set(response)
    wanted = StoreUnavailable if handled in (StoreUnavailable, RedisessError, Exception) else ServiceUnavailable
    assert [type(error) for error in caught] == [wanted]
    if wanted is StoreUnavailable:
        assert isinstance(caught[0].__cause__, redis.RedisError)


@BOTH
def test_the_handler_of_the_most_specific_error_comes_first(away, when):
    def register(app):
        for handled in (Exception, RedisessError, 503, HTTPException):
            app.register_error_handler(handled, lambda error, name=str(handled): (name, 599))

    assert ask(away(register), when).text == str(RedisessError)


@BOTH
def test_a_blueprints_handler_is_asked_for_its_own_pages(away, when):
    def views(app):
        inside = Blueprint("inside", "inside")
        inside.register_error_handler(StoreUnavailable, lambda error: ("inside", 599))

        @inside.get("/me")
        def me():
            if when == "save":
                site.plug.pull()
                session["late"] = 1
            return str(session.get("a"))

        app.register_blueprint(inside, url_prefix="/inside")

    site = away(views)
    if when == "open":
        site.plug.pull()
    assert site.client.get("/inside/me").text == "inside"
    assert site.client.get("/me").status_code == 503


def test_a_blueprints_handler_of_every_exception_comes_before_the_apps(away):
    def views(app):
        inside = Blueprint("inside", "inside")
        inside.register_error_handler(Exception, lambda error: (f"inside {type(error).__name__}", 599))
        inside.add_url_rule("/me", "me", lambda: str(session.get("a")))
        app.register_blueprint(inside, url_prefix="/inside")
        app.register_error_handler(StoreUnavailable, lambda error: ("app", 598))

    site = away(views)
    site.plug.pull()
    assert site.client.get("/inside/me").text == "inside StoreUnavailable"
    assert site.client.get("/me").text == "app"


@BOTH
def test_an_async_handler_is_awaited(away, when):
    def register(app):
        @app.errorhandler(RedisessError)
        async def handle(error):
            return "later", 599

    assert ask(away(register), when).text == "later"


@BOTH
def test_a_handler_may_redirect_or_stream_or_send_a_file(away, when, tmp_path):
    path = tmp_path / "page"
    path.write_text("a page")
    answers = {
        302: lambda: redirect("/sorry"),
        200: lambda: send_file(path, mimetype="text/plain"),
        599: lambda: (iter(["in ", "parts"]), 599),
    }
    for status, answer in answers.items():
        site = away(lambda app, answer=answer: app.register_error_handler(StoreUnavailable, lambda error: answer()))
        with ask(site, when) as response:
            assert response.status_code == status
            assert status != 599 or response.text == "in parts"
            assert status != 200 or response.text == "a page"


@BOTH
def test_a_handler_that_fails_is_an_error_of_the_program(away, when):
    def register(app):
        @app.errorhandler(StoreUnavailable)
        def handle(error):
            raise LookupError

    response = ask(away(register), when)
    assert response.status_code == 500
    assert not cookies_set(response)


def test_a_before_request_registered_before_redisess_does_not_spoil_the_answer(away):
    def early(app):
        @app.before_request
        def look():
            session.get("a")

        @app.after_request
        def look_again(response):
            session.get("a")
            return response

    site = away(before=early)
    site.plug.pull()
    assert site.client.get("/me").status_code == 503


def test_a_refused_sign_in_may_be_answered_with_a_message_and_a_redirect(limited):
    app = limited()

    @app.errorhandler(SessionLimitReached)
    def handle(error):
        flash("too many devices")
        return redirect("/messages")

    @app.get("/messages")
    def messages():
        return {"user": current_session.user_id, "messages": get_flashed_messages()}

    client = app.test_client()
    client.post("/set/cart/tea")
    assert client.post("/login/ada", follow_redirects=True).json == {"user": None, "messages": ["too many devices"]}
    assert client.get("/me").json["data"] == {"cart": "tea"}
    bob = app.test_client()
    bob.post("/login/bob")
    assert bob.post("/login/ada", follow_redirects=True).json == {"user": "bob", "messages": ["too many devices"]}


def test_an_error_page_may_use_the_session_that_could_not_be_opened_and_nothing_is_stored(away):
    def register(app):
        @app.errorhandler(StoreUnavailable)
        def handle(error):
            site.plug.put()
            login("eve")
            session["x"] = 1
            return {"messages": get_flashed_messages(), "a": session.get("a"), "devices": len(sessions_or_error())}, 503

        def sessions_or_error():
            with pytest.raises(StoreUnavailable):
                sessions()
            return ()

    site = away(register)
    site.plug.pull()
    response = site.client.get("/me")
    assert (response.status_code, response.json) == (503, {"messages": [], "a": None, "devices": 0})
    assert not cookies_set(response)
    assert site.client.get("/me").json["user"] == "ada"
    assert site.client.get("/me").json["data"] == {"a": "1"}
    assert manager_of(site.app).get_all_users() == ["ada"]


def in_a_preprocessor(app):
    app.url_value_preprocessor(lambda endpoint, values: session.get("a"))
    return "/me"


def in_a_view_that_was_skipped(app):
    app.add_url_rule("/skipped", "skipped", lambda: str(session.get("a")))
    return "/skipped"


def in_a_page_that_is_not_found(app):
    app.register_error_handler(404, lambda error: (str(session.get("a")), 404))
    return "/static/nothing"


@pytest.mark.parametrize(
    ("first", "handled"),
    [
        (in_a_preprocessor, StoreUnavailable),
        (in_a_preprocessor, 503),
        (in_a_view_that_was_skipped, StoreUnavailable),
        (in_a_view_that_was_skipped, 503),
        (in_a_page_that_is_not_found, 500),  # what an error page raises is one for Flask
    ],
)
def test_an_error_page_may_use_the_session_wherever_it_was_first_asked_for(away, first, handled):
    paths, found = [], []

    def views(app):
        paths.append(first(app))

        @app.errorhandler(handled)
        def handle(error):
            session["x"] = 1
            found.append((session.get("a"), current_session.user_id))
            return "we are busy", 599

    site = away(views, REDISESS_SKIP=lambda request: request.endpoint == "skipped")
    site.plug.pull()
    response = site.client.get(paths[0])
    assert (response.status_code, response.text) == (599, "we are busy")
    assert found == [(None, None)]
    assert vary_of(response) == ["cookie"]
    assert not cookies_set(response)
    site.plug.put()
    assert site.client.get("/me").json["data"] == {"a": "1"}


def test_a_function_before_the_view_that_caught_that_redis_is_away_does_not_make_the_session_an_empty_one(away):
    def views(app):
        @app.url_value_preprocessor
        def look(endpoint, values):
            try:
                session.get("a")
            except StoreUnavailable:
                caught.append(endpoint)

    caught = []
    site = away(views)
    site.plug.pull()
    assert site.client.get("/me").status_code == 503
    assert caught == ["me"]


def test_a_handler_that_asks_the_session_after_it_could_not_be_saved_sees_what_was_loaded(away):
    def register(app):
        app.register_error_handler(StoreUnavailable, lambda error: (f"kept {session['a']}", 503))

    response = ask(away(register), "save")
    assert response.text == "kept 1"


@BOTH
@pytest.mark.parametrize("reads", [False, True])
def test_an_error_page_varies_by_the_cookie_if_it_read_the_session(away, when, reads):
    def register(app):
        app.register_error_handler(StoreUnavailable, lambda error: (str(session.get("a")) if reads else "", 503))

    response = ask(away(register), when)
    assert response.status_code == 503
    assert vary_of(response) == (["cookie"] if reads or when == "save" else [])


def test_store_unavailable_raised_by_the_app_itself_is_handled_alike(app, client):
    @app.before_request
    def look():
        manager().count()
        raise StoreUnavailable("our other Redis")

    response = client.get("/")
    assert response.status_code == 503
    assert "Retry-After" in response.headers


def test_redis_away_for_a_helper_in_the_view_is_503_unless_the_view_catches_it(away):
    def views(app):
        @app.get("/devices")
        def devices():
            site.plug.pull()
            return str(len(sessions()))

        @app.get("/maybe-devices")
        def maybe_devices():
            site.plug.pull()
            try:
                return str(len(sessions()))
            except StoreUnavailable:
                return "nobody knows"

    site = away(views)
    assert site.client.get("/devices").status_code == 503
    site.plug.put()
    assert site.client.get("/maybe-devices").text == "nobody knows"


def test_a_503_of_the_apps_own_is_not_ours(app, client):
    app.view_functions["index"] = lambda: abort(503)
    assert "Retry-After" not in client.get("/").headers


# The limit


@pytest.fixture
def limited(make_app):
    """An app that refuses a user's second session; ada has one already."""

    def make(before=None):
        app = make_app(before, REDISESS_MAX_SESSIONS_PER_USER=1, REDISESS_ON_LIMIT="refuse")
        manager_of(app).create("ada")

        @app.post("/careful/<user>")
        def careful(user):
            session["tried"] = user
            login(user)
            try:
                current_session.save()
            except SessionLimitReached as refused:
                return {"user": current_session.user_id, "limit": refused.limit}, 409
            return {"user": current_session.user_id}

        return app

    return make


def test_a_sign_in_that_the_limit_refuses_is_403_and_leaves_everything_as_it_was(limited):
    app = limited()
    client = app.test_client()
    client.post("/set/cart/tea")
    token = token_of(client)
    response = client.post("/login/ada")
    assert response.status_code == 403
    assert "ada" not in response.text
    assert not cookies_set(response)
    assert token_of(client) == token
    assert client.get("/me").json["data"] == {"cart": "tea"}
    assert client.get("/me").json["user"] is None
    assert manager_of(app).count_for_user("ada") == 1


@pytest.mark.parametrize("handled", [SessionLimitReached, RedisessError, Exception, 403, HTTPException], ids=str)
@pytest.mark.parametrize("order", ["before", "after"])
def test_the_apps_handler_of_a_refusal_comes_first_in_whatever_order_it_is_registered(limited, handled, order):
    def register(app):
        app.register_error_handler(handled, lambda error: ("too many devices", 499))

    app = limited(register if order == "before" else None)
    if order == "after":
        register(app)
    response = visit(app, "/login/ada", method="POST")
    assert (response.status_code, response.text) == (499, "too many devices")


def test_a_view_that_catches_the_refusal_answers_as_it_likes(limited):
    app = limited()
    client = app.test_client()
    response = client.post("/careful/ada")
    assert response.status_code == 409
    assert response.json == {"user": None, "limit": 1}
    assert client.get("/me").json["data"] == {"tried": "ada"}
    assert client.get("/me").json["user"] is None
    assert client.post("/careful/bob").json == {"user": "bob"}
    assert client.get("/me").json["user"] == "bob"


def test_a_refused_switch_of_users_ends_only_the_first_users_session(limited):
    app = limited()
    client = app.test_client()
    client.post("/login/bob")
    assert client.post("/login/ada").status_code == 403
    assert client.get("/me").json["user"] == "bob"


def test_the_limit_evicts_where_it_does_not_refuse(make_app, clock):
    app = make_app(REDISESS_MAX_SESSIONS_PER_USER=2, REDISESS_CLOCK=clock)
    clients = []
    for _ in range(3):
        clients.append(app.test_client())
        clients[-1].post("/login/ada")
        clock.advance(1)
    assert [client.get("/me").json["user"] for client in clients] == [None, "ada", "ada"]


def test_an_after_request_that_signs_in_whatever_the_answer_is_refused_in_the_end(limited):
    app = limited()
    tried = []

    @app.after_request
    def insist(response):
        tried.append(response.status_code)
        login("ada")
        return response

    response = visit(app, "/")
    assert response.status_code in (403, 500)
    assert len(tried) <= 3
    assert not cookies_set(response)
    assert manager_of(app).count() == 1


def test_a_user_at_the_limit_may_sign_in_again_in_the_same_browser(limited):
    client = limited().test_client()
    client.post("/login/bob")
    assert client.post("/login/bob").status_code == 200
    assert client.get("/me").json["user"] == "bob"


# The program's errors


def test_a_view_that_catches_oversized_data_answers_as_it_likes(make_app):
    app = make_app(REDISESS_MAX_DATA_BYTES=100)

    @app.post("/draft")
    def draft():
        session["draft"] = "x" * 200
        try:
            current_session.save()
        except SessionDataTooLarge as refused:
            session["note"] = f"{refused.limit}"
            return {"draft": session.get("draft")}, 413
        return "saved"

    client = app.test_client()
    client.post("/set/draft/short")
    response = client.post("/draft")
    assert (response.status_code, response.json) == (413, {"draft": "short"})
    assert client.get("/me").json["data"] == {"draft": "short", "note": "100"}


def test_a_sign_in_goes_through_where_the_data_beside_it_was_refused_and_caught(make_app):
    app = make_app(REDISESS_MAX_DATA_BYTES=100)

    @app.post("/enter")
    def enter():
        login("ada")
        session["big"] = "x" * 200
        with pytest.raises(SessionDataTooLarge):
            current_session.save()
        return ""

    client = app.test_client()
    client.post("/enter")
    assert client.get("/me").json["user"] == "ada"


def test_oversized_data_after_a_saved_sign_in_keeps_the_user_signed_in(make_app):
    app = make_app(REDISESS_MAX_DATA_BYTES=100)

    @app.post("/enter")
    def enter():
        login("ada")
        current_session.save()
        session["big"] = "x" * 200
        return ""

    client = app.test_client()
    client.post("/set/cart/tea")
    assert client.post("/enter").status_code == 500
    assert client.get("/me").json["user"] == "ada"
    assert client.get("/me").json["data"] == {"cart": "tea"}


@pytest.mark.parametrize("value", ["x" * 200, [object()]], ids=["oversized", "unstorable"])
@pytest.mark.parametrize("leave", [logout, lambda: session.clear()])  # noqa: PLW0108  a proxy, read in the request
@pytest.mark.parametrize("testing", [False, True])
def test_a_sign_out_is_carried_out_even_where_the_data_beside_it_is_refused(make_app, told, value, leave, testing):
    app = make_app(REDISESS_MAX_DATA_BYTES=100, TESTING=testing)

    @app.post("/leave")
    def leave_and_write():
        leave()
        session["note"] = held = []
        held.append(value)
        return "bye"

    client = app.test_client()
    client.post("/login/ada")
    token = token_of(client)
    told.clear()
    if testing:
        with pytest.raises((TypeError, SessionDataTooLarge)):
            client.post("/leave")
    else:
        response = client.post("/leave")
        assert response.status_code == 500
        assert [cookie.removes for cookie in cookies_set(response)] == [True]
    assert manager_of(app).authenticate(token) is None
    assert [(name, said["user_id"]) for name, said in told] == [("session_killed", "ada")]


@pytest.mark.parametrize("error", [TypeError, SessionDataTooLarge])
def test_the_apps_handler_of_a_programs_error_is_asked(make_app, error):
    app = make_app(REDISESS_MAX_DATA_BYTES=100)

    @app.post("/wrong")
    def wrong():
        session["list"] = values = []
        values.append("x" * 200 if error is SessionDataTooLarge else object())
        return "stored"

    app.register_error_handler(error, lambda error: (f"our {type(error).__name__}", 599))
    response = visit(app, "/wrong", method="POST")
    assert (response.status_code, response.text) == (599, f"our {error.__name__}")
    assert not cookies_set(response)


def test_a_programs_error_is_passed_on_in_testing(make_app):
    app = make_app(REDISESS_MAX_DATA_BYTES=100, TESTING=True)
    with pytest.raises(SessionDataTooLarge):
        visit(app, f"/set/a/{'x' * 200}", method="POST")


def test_the_handler_of_500_is_asked_for_a_programs_error(make_app):
    app = make_app(REDISESS_MAX_DATA_BYTES=100)
    caught = []

    @app.errorhandler(InternalServerError)
    def handle(error):
        caught.append(error.original_exception)
        return "sorry", 500

    assert visit(app, f"/set/a/{'x' * 200}", method="POST").text == "sorry"
    assert [type(error) for error in caught] == [SessionDataTooLarge]


def test_a_session_of_another_layout_is_an_error_of_its_own(make_app):
    visit(make_app(), "/login/ada", method="POST")
    response = visit(make_app(REDISESS_SHARDS=4), "/login/ada", method="POST")
    assert response.status_code == 500
    assert not cookies_set(response)


# A session that is gone


def test_a_view_may_catch_that_its_session_is_gone(app, client, caplog):
    @app.post("/slow")
    def slow():
        manager().kill(current_session.session_id)
        session["late"] = 1
        try:
            current_session.save()
        except SessionGone:
            return "too late"
        return "stored"

    client.post("/login/ada")
    token = token_of(client)
    with caplog.at_level(logging.WARNING, "redisess"):
        response = client.post("/slow")
    assert response.text == "too late"
    assert not cookies_set(response)
    assert token not in caplog.text
