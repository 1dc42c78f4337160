"""What Flask promises of its session, told once and run over Flask's own and over ours."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

import flask
import pytest
from markupsafe import Markup
from site_kit import cookies_set, vary_of

from redisess_flask import Redisess


@pytest.fixture(params=["flask", "redisess"])
def either(request, bare_app, redis_url, namespace):
    """An app with Flask's own session, and one with ours; give it views, then ask for its client."""
    app = bare_app(SECRET_KEY="for Flask's own", REDISESS_URL=redis_url, REDISESS_NAMESPACE=namespace)
    if request.param == "flask":
        yield app
    else:
        Redisess(app)
        with app.extensions["redisess"].manager:
            yield app


def add(app, path, function):
    def view():
        result = function()
        return {} if result is None else {"result": result}

    app.add_url_rule(path, path, view)


def test_what_one_request_stores_the_next_one_reads(either):
    add(either, "/set", lambda: flask.session.update(value=42))
    add(either, "/get", lambda: flask.session["value"])
    client = either.test_client()
    client.get("/set")
    assert client.get("/get").json["result"] == 42


def test_nothing_is_accessed_or_modified_until_it_is(either):
    def look():
        session = flask.session
        before = session.modified
        _ = session.get("a")
        assert session.accessed
        read = session.modified
        session["a"] = 1
        written = session.modified
        return [before, read, written]

    add(either, "/", look)
    assert either.test_client().get("/").json["result"] == [False, False, True]


def clear():
    flask.session.clear()


READS = {
    "get": lambda: flask.session.get("a"),
    "getitem": lambda: flask.session["a"],
    "in": lambda: "a" in flask.session,
    "len": lambda: len(flask.session),
    "iteration": lambda: list(flask.session),
    "setdefault": lambda: flask.session.setdefault("a", 2),
    "nothing": lambda: None,
    "static": None,
}


@pytest.mark.parametrize("read", READS)
def test_vary_is_cookie_exactly_where_the_session_was_accessed(either, read):
    add(either, "/set", lambda: flask.session.update(a=1))
    if READS[read]:
        add(either, "/read", READS[read])
    client = either.test_client()
    client.get("/set")
    path = "/read" if READS[read] else "/static/style.css"
    response = client.get(path, buffered=True)
    assert response.status_code == 200
    assert vary_of(response) == ([] if read in ("nothing", "static") else ["cookie"])
    assert cookies_set(response) == []


def test_vary_is_merged_with_what_the_view_had_set(either):
    def view():
        flask.session.get("a")
        response = flask.make_response("")
        response.headers.add("Vary", "Accept-Encoding, Accept-Language")
        return response

    either.add_url_rule("/", "view", view)
    assert vary_of(either.test_client().get("/")) == ["accept-encoding", "accept-language", "cookie"]


@pytest.mark.parametrize("on_each_request", [True, False])
def test_a_permanent_sessions_cookie_comes_with_each_response_unless_that_is_turned_off(either, on_each_request):
    either.config["SESSION_REFRESH_EACH_REQUEST"] = on_each_request

    def begin():
        flask.session.permanent = True
        flask.session["a"] = 1

    add(either, "/begin", begin)
    add(either, "/other", lambda: None)
    add(either, "/write", lambda: flask.session.update(b=2))
    client = either.test_client()
    (cookie,) = cookies_set(client.get("/begin"))
    assert "expires" in cookie.attributes
    response = client.get("/other")
    assert len(cookies_set(response)) == on_each_request
    assert vary_of(response) == (["cookie"] if on_each_request else [])


def test_permanent_reads_as_it_was_set_and_is_stored(either):
    def view():
        before, flask.session.permanent = flask.session.permanent, 1
        return [before, flask.session.permanent, flask.session["_permanent"]]

    add(either, "/", view)
    add(either, "/back", lambda: setattr(flask.session, "permanent", False))
    client = either.test_client()
    assert client.get("/").json["result"] == [False, True, True]
    client.get("/back")
    assert client.get("/").json["result"] == [False, True, True]


def test_a_session_that_is_emptied_loses_its_cookie(either):
    add(either, "/set", lambda: flask.session.update(a=1))
    add(either, "/clear", clear)
    add(either, "/pop", lambda: flask.session.pop("a"))
    for way in ("/clear", "/pop"):
        client = either.test_client()
        client.get("/set")
        response = client.get(way)
        (cookie,) = cookies_set(response)
        assert cookie.removes
        assert vary_of(response) == ["cookie"]
        assert client.get_cookie("session") is None


def test_what_is_cleared_and_written_again_is_a_new_session(either):
    def switch():
        flask.session.clear()
        flask.session["b"] = 2

    add(either, "/set", lambda: flask.session.update(a=1))
    add(either, "/switch", switch)
    add(either, "/all", lambda: dict(flask.session))
    client = either.test_client()
    client.get("/set")
    (cookie,) = cookies_set(client.get("/switch"))
    assert not cookie.removes
    assert client.get("/all").json["result"] == {"b": 2}


SPECIAL = {
    "t": (1, 2, 3),
    "b": b"\xff",
    "m": Markup("<html>"),
    "u": UUID(int=5),
    "d": dt.datetime(2026, 11, 24, 1, 2, 3, tzinfo=dt.UTC),
    "t_tag": {" t": "not-a-tuple"},
    "di_t_tag": {" t__": "not-a-tuple"},
    "di_tag": {" di": "not-a-dict"},
}


def test_special_types_come_back_as_they_were(either):
    found = {}
    add(either, "/set", lambda: flask.session.update(SPECIAL))
    add(either, "/get", lambda: found.update(flask.session))
    client = either.test_client()
    client.get("/set")
    client.get("/get")
    assert found == SPECIAL
    assert {key: type(value) for key, value in found.items()} == {key: type(value) for key, value in SPECIAL.items()}


COOKIES = [
    {},
    {"SESSION_COOKIE_NAME": "sid"},
    {"SESSION_COOKIE_SECURE": True},
    {"SESSION_COOKIE_HTTPONLY": False},
    {"SESSION_COOKIE_SAMESITE": "Lax"},
    {"SESSION_COOKIE_SAMESITE": "strict"},
    {"SESSION_COOKIE_PATH": "/"},
    {"SESSION_COOKIE_PATH": "/app"},
    {"APPLICATION_ROOT": "/app"},
    {"SESSION_COOKIE_DOMAIN": ".example.com"},
    {"SESSION_COOKIE_PARTITIONED": True},
    {"SERVER_NAME": "example.com"},
]


@pytest.mark.parametrize("config", COOKIES)
def test_the_cookie_has_the_attributes_that_flask_gives_it(bare_app, redis_url, namespace, config):
    found = []
    for ours in (False, True):
        app = bare_app(SECRET_KEY="x", REDISESS_URL=redis_url, REDISESS_NAMESPACE=namespace, **config)
        if ours:
            Redisess(app)
        add(app, "/set", lambda: flask.session.update(a=1))
        add(app, "/clear", clear)
        name = app.config["SESSION_COOKIE_NAME"]
        (cookie,) = cookies_set(app.test_client().get("/set"))
        sent = {"Cookie": f"{name}={cookie.value}"}
        (removed,) = cookies_set(app.test_client(use_cookies=False).get("/clear", headers=sent))
        assert removed.removes
        found.append([(name, cookie.attributes), (removed.name, removed.attributes)])
        if ours:
            app.extensions["redisess"].manager.close()
    assert found[0] == found[1]


def test_session_transaction_reads_and_writes_what_the_client_holds(either):
    add(either, "/get", lambda: [flask.session.get("a"), flask.session.permanent])
    client = either.test_client()
    with client:
        with client.session_transaction() as session:
            assert not session
            session["a"] = 42
            session.permanent = True
        assert client.get("/get").json["result"] == [42, True]
        assert flask.session["a"] == 42
        with client.session_transaction() as session:
            assert session["a"] == 42
            session["a"] += 1
        assert client.get("/get").json["result"] == [43, True]


def test_session_transaction_needs_cookies(either):
    client = either.test_client(use_cookies=False)
    with pytest.raises(TypeError, match="Cookies are disabled"), client.session_transaction():
        pass


def test_flashed_messages_are_shown_once_by_category(either):
    def say():
        flask.flash("Hello")
        flask.flash("Oh no", "error")
        flask.flash(Markup("<em>Testing</em>"), "warning")

    add(either, "/say", say)
    add(either, "/errors", lambda: flask.get_flashed_messages(category_filter=["error"]))
    add(either, "/show", lambda: flask.get_flashed_messages(with_categories=True))
    client = either.test_client()
    client.get("/say")
    shown = client.get("/show").json["result"]
    assert shown == [["message", "Hello"], ["error", "Oh no"], ["warning", "<em>Testing</em>"]]
    assert client.get("/show").json["result"] == []
    client.get("/say")
    assert client.get("/errors").json["result"] == ["Oh no"]


class Lazy:
    """What translations make of a text: it is looked up when it is shown."""

    def __init__(self, text):
        self.text = text

    def __html__(self):
        return f"<em>{self.text}</em>"


class LazyText(str):
    """Likewise, of a text."""

    __slots__ = ()

    def __html__(self):
        return Markup("<em>{}</em>").format(str(self))


class Row(dict):
    """A dict that can be shown."""

    def __html__(self):
        return "<b>row</b>"


def test_a_dict_with_a_form_in_html_stays_a_dict(either):
    add(either, "/set", lambda: flask.session.update(row=Row(a=1)))
    add(either, "/show", lambda: flask.session["row"])
    client = either.test_client()
    client.get("/set")
    assert client.get("/show").json["result"] == {"a": 1}


def test_what_has_a_form_in_html_comes_back_as_that(either):
    add(either, "/say", lambda: flask.flash(Lazy("Hello")))
    add(either, "/set", lambda: flask.session.update(title=LazyText("Hello"), titles=[Lazy("a"), {"b": Lazy("b")}]))
    add(either, "/show", lambda: repr([*flask.get_flashed_messages(), flask.session["title"], flask.session["titles"]]))
    client = either.test_client()
    client.get("/say")
    client.get("/set")
    shown = [Markup("<em>Hello</em>"), Markup("<em>Hello</em>"), [Markup("<em>a</em>"), {"b": Markup("<em>b</em>")}]]
    assert client.get("/show").json["result"] == repr(shown)


def test_a_failed_request_that_is_answered_keeps_its_changes(either):
    def fail():
        flask.session["a"] = 1
        raise LookupError

    add(either, "/fail", fail)
    add(either, "/get", lambda: flask.session.get("a"))
    client = either.test_client()
    assert client.get("/fail").status_code == 500
    assert client.get("/get").json["result"] == 1


def test_a_request_whose_exception_is_passed_on_loses_its_changes(either):
    either.testing = True

    def fail():
        flask.session["a"] = 1
        raise LookupError

    add(either, "/fail", fail)
    add(either, "/get", lambda: flask.session.get("a"))
    client = either.test_client()
    with pytest.raises(LookupError):
        client.get("/fail")
    assert client.get("/get").json == {}


def test_the_session_is_there_in_url_converters_and_value_preprocessors(either):
    from werkzeug.routing import BaseConverter

    class Numbered(BaseConverter):
        def to_python(self, value):
            flask.session["converted"] = value
            return value

    either.url_map.converters["numbered"] = Numbered

    @either.url_value_preprocessor
    def prepare(endpoint, values):
        flask.session["endpoint"] = endpoint

    @either.get("/<numbered:value>")
    def page(value):
        return {"result": dict(flask.session)}

    assert either.test_client().get("/7").json["result"] == {"converted": "7", "endpoint": "page"}


def test_a_blueprint_and_its_error_handler_share_the_requests_session(either):
    blueprint = flask.Blueprint("club", "club")

    @blueprint.get("/enter")
    def enter():
        flask.session["tried"] = 1
        flask.abort(403)

    @blueprint.errorhandler(403)
    def refuse(error):
        flask.session["refused"] = flask.session["tried"]
        return "members only", 403

    either.register_blueprint(blueprint, url_prefix="/club")
    add(either, "/all", lambda: dict(flask.session))
    client = either.test_client()
    assert client.get("/club/enter").status_code == 403
    assert client.get("/all").json["result"] == {"tried": 1, "refused": 1}


def test_what_after_request_writes_is_stored(either):
    @either.after_request
    def count(response):
        flask.session["seen"] = flask.session.get("seen", 0) + 1
        return response

    add(either, "/", lambda: flask.session.get("seen"))
    client = either.test_client()
    assert [client.get("/").json.get("result") for _ in range(3)] == [None, 1, 2]


def test_what_a_failed_after_request_leaves_is_an_error_without_a_cookie(either):
    @either.after_request
    def fail(response):
        raise LookupError

    add(either, "/", lambda: flask.session.update(a=1))
    response = either.test_client().get("/")
    assert response.status_code == 500
    assert cookies_set(response) == []


def test_an_async_view_uses_the_session_as_any_view(either):
    async def view():
        flask.session["count"] = flask.session.get("count", 0) + 1
        return {"result": flask.session["count"]}

    either.add_url_rule("/", "view", view)
    client = either.test_client()
    assert [client.get("/").json["result"] for _ in range(2)] == [1, 2]


def test_two_clients_have_two_sessions(either):
    add(either, "/set", lambda: flask.session.update(a=1))
    add(either, "/get", lambda: flask.session.get("a"))
    one, two = either.test_client(), either.test_client()
    one.get("/set")
    assert (one.get("/get").json.get("result"), two.get("/get").json.get("result")) == (1, None)
