from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from operator import attrgetter

import pytest
import redis
import redis.asyncio
from flask import Flask, session
from site_kit import UNKNOWN_TOKEN, bearer, cookies_set, furnish, manager_of, send_token, token_of, visit

from redisess_core import SessionManager
from redisess_core.web import OPTIONS
from redisess_flask import Redisess, current_session, login, logout, manager
from redisess_flask.interface import RedisessInterface

MANAGER_OPTIONS = {
    "NAMESPACE": "other",
    "ADDITIONAL_FIELDS": ("name", "email"),
    "TTL": 60,
    "MAX_LIFETIME": 3600,
    "TOUCH_INTERVAL": 0,
    "MAX_SESSIONS_PER_USER": 3,
    "ON_LIMIT": "refuse",
    "RECORD_CLIENT": False,
    "MAX_DATA_BYTES": 100,
    "SHARDS": 4,
}
ELSEWHERE = {"URL", "CLIENT", "CLOCK", "HEADER", "SKIP", "CLEAR_SITE_DATA"}


# Setting up


def test_an_app_set_up_in_one_line_stores_its_sessions_in_redis(make_app, redis_client):
    client = make_app().test_client()
    client.post("/set/colour/red")
    assert client.get("/me").json["data"] == {"colour": "red"}
    assert any(
        b"red" in redis_client.hvals(key) or b'"red"' in redis_client.hvals(key) for key in _hashes(redis_client)
    )


def _hashes(redis_client):
    return [key for key in redis_client.scan_iter() if redis_client.type(key) == b"hash"]


def test_an_extension_made_without_an_app_serves_each_app_it_is_given(bare_app, redis_url):
    extension = Redisess()
    one, two = bare_app(REDISESS_URL=redis_url, REDISESS_NAMESPACE="one"), bare_app(REDISESS_URL="memory://")
    for app in (one, two):
        extension.init_app(app)
    assert vars(extension) == {}
    assert manager_of(one).namespace == "one"
    assert manager_of(two).namespace == "sessions"
    for app in (one, two):
        client = furnish(app).test_client()
        client.post(f"/login/{app.config['REDISESS_URL'][:6]}")
        assert client.get("/me").json["user"] == app.config["REDISESS_URL"][:6]
        manager_of(app).close()


def test_two_apps_of_one_process_do_not_meet_unless_they_share_a_namespace(make_app):
    one, same, other = make_app(), make_app(), make_app(REDISESS_NAMESPACE="another")
    client = one.test_client()
    client.post("/login/ada")
    cookie = send_token(token_of(client))
    assert visit(same, "/me", cookie).json["user"] == "ada"
    assert visit(other, "/me", cookie).json["user"] is None


def test_setting_one_app_up_twice_is_refused(make_app):
    app = make_app()
    with pytest.raises(RuntimeError, match="already"):
        Redisess().init_app(app)


def test_setting_up_sends_nothing_so_an_app_starts_while_redis_is_away(bare_app):
    Redisess(bare_app(REDISESS_URL="redis://127.0.0.1:1/0"))


def test_no_secret_key_is_needed(app, client):
    assert app.secret_key is None
    client.post("/set/colour/red")
    assert client.get("/me").json["data"] == {"colour": "red"}


def test_the_session_interface_is_ours_and_does_not_use_pickle(app):
    assert isinstance(app.session_interface, RedisessInterface)
    assert not app.session_interface.pickle_based


def test_the_helpers_say_what_to_call_on_an_app_that_is_not_set_up(bare_app):
    with bare_app(SECRET_KEY="x").test_request_context():
        with pytest.raises(RuntimeError, match=r"Redisess\(app\) or init_app\(app\)"):
            manager()
        with pytest.raises(TypeError, match=r"Redisess\(app\) or init_app\(app\)"):
            _ = current_session.user_id


def test_flask_session_and_current_session_are_the_same_object(app):
    with app.test_request_context():
        assert session._get_current_object() is current_session._get_current_object()


def test_importing_the_adapter_does_not_import_flask_login():
    found = "import sys, redisess_flask; print('flask_login' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", found], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_nothing_is_missed_where_flask_login_is_not_installed(bare_app, monkeypatch):
    monkeypatch.setitem(sys.modules, "flask_login", None)
    app = bare_app(REDISESS_URL="memory://")
    Redisess(app)
    client = furnish(app).test_client()
    client.post("/login/ada")
    assert client.get("/me").json["user"] == "ada"


# Configuration


def test_there_is_a_key_for_each_option_and_each_is_tested_here():
    assert {option.name.upper() for option in OPTIONS} == MANAGER_OPTIONS.keys() | ELSEWHERE


@pytest.mark.parametrize(("option", "value"), MANAGER_OPTIONS.items())
def test_each_option_of_the_manager_has_a_key(bare_app, redis_url, option, value):
    app = bare_app(REDISESS_URL=redis_url, **{f"REDISESS_{option}": value})
    Redisess(app)
    with manager_of(app) as made:
        assert attrgetter(option.lower())(made) == value


def test_without_configuration_the_defaults_of_the_manager_hold(bare_app):
    app = bare_app()
    Redisess(app)
    with manager_of(app) as found, SessionManager("redis://localhost:6379/0") as wanted:
        options = [option.lower() for option in MANAGER_OPTIONS]
        assert attrgetter(*options)(found) == attrgetter(*options)(wanted)
        assert found.client.get_connection_kwargs()["port"] == 6379
        assert found.client.get_connection_kwargs()["host"] == "localhost"


def test_the_manager_goes_by_the_configured_clock(app, sessions, clock, client):
    assert sessions.clock is clock
    client.post("/login/ada")
    (listed,) = sessions.list_user_sessions("ada")
    assert listed.created == clock()


def test_options_come_from_prefixed_environment_variables_too(bare_app, monkeypatch):
    monkeypatch.setenv("FLASK_REDISESS_TTL", "90")
    monkeypatch.setenv("FLASK_REDISESS_URL", "memory://")
    monkeypatch.setenv("FLASK_REDISESS_ADDITIONAL_FIELDS", json.dumps(["name"]))
    app = bare_app()
    app.config.from_prefixed_env()
    Redisess(app)
    assert manager_of(app).ttl == 90
    assert manager_of(app).additional_fields == ("name",)


@pytest.mark.parametrize("decode_responses", [False, True])
def test_a_client_of_ones_own_is_used_and_not_closed(make_app, redis_url, decode_responses):
    with redis.Redis.from_url(redis_url, decode_responses=decode_responses) as own:
        app = make_app(REDISESS_URL="redis://127.0.0.1:1/0", REDISESS_CLIENT=own)
        client = app.test_client()
        client.post("/set/colour/red")
        client.post("/login/ada")
        assert client.get("/me").json["data"] == {"colour": "red"}
        assert manager_of(app).client is own
        manager_of(app).close()
        assert own.ping()


def test_an_async_client_is_refused_with_the_name_of_what_takes_it(bare_app):
    with pytest.raises(TypeError, match="AsyncSessionManager takes an async one"):
        Redisess(bare_app(REDISESS_CLIENT=redis.asyncio.Redis()))


def test_a_url_that_is_not_there_is_refused_by_its_key(bare_app):
    with pytest.raises(TypeError, match="REDISESS_URL: None given, a URL wanted"):
        Redisess(bare_app(REDISESS_URL=None))


def test_an_unknown_key_is_refused_with_the_known_ones(bare_app):
    app = bare_app(REDISESS_TIMEOUT=5)
    with pytest.raises(ValueError, match=r"REDISESS_TIMEOUT given; known are REDISESS_URL, .*REDISESS_TTL"):
        Redisess(app)
    assert "redisess" not in app.extensions


WRONG = {
    "URL": ["http://localhost", "localhost:6379", "", None, 6379],
    "CLIENT": [object(), 1],
    "NAMESPACE": ["", "a{b}", None, 5],
    "ADDITIONAL_FIELDS": ["name", ["user_id"], ["a b"], ["x", "x"], 5],
    "TTL": [-1, "1800", None, float("nan"), True, timedelta(minutes=30)],
    "MAX_LIFETIME": [0, -1, "1h"],
    "TOUCH_INTERVAL": [-1, None],
    "MAX_SESSIONS_PER_USER": [0, "3", 1.5],
    "ON_LIMIT": ["drop", None],
    "RECORD_CLIENT": ["false", None, 1],
    "MAX_DATA_BYTES": [0, None],
    "SHARDS": [0, 5000],
    "CLOCK": [5],
    "HEADER": ["", "X Token", "Cookie", 5, b"X-Token"],
    "SKIP": ["/health", 5, ["/health"]],
    "CLEAR_SITE_DATA": ["false", 1, None],
}


@pytest.mark.parametrize(("option", "value"), [(option, value) for option, values in WRONG.items() for value in values])
def test_a_wrong_value_is_refused_at_the_start(bare_app, option, value):
    app = bare_app(**{f"REDISESS_{option}": value})
    with pytest.raises((TypeError, ValueError)) as refused:
        Redisess(app)
    assert "redisess" not in app.extensions
    assert len(str(refused.value)) > 20


WRONG_COOKIES = [
    {"SESSION_COOKIE_NAME": "my session"},
    {"SESSION_COOKIE_NAME": "a=b"},
    {"SESSION_COOKIE_NAME": "sid\r\nX: y"},
    {"SESSION_COOKIE_NAME": ""},
    {"SESSION_COOKIE_NAME": "__Host-sid", "SESSION_COOKIE_PATH": "/app"},
    {"SESSION_COOKIE_NAME": "__Host-sid", "SESSION_COOKIE_DOMAIN": "example.com"},
    {"SESSION_COOKIE_PATH": "/;x"},
    {"SESSION_COOKIE_DOMAIN": "example.com; Secure"},
    {"SESSION_COOKIE_SAMESITE": "sometimes"},
]


@pytest.mark.parametrize("config", WRONG_COOKIES)
def test_a_cookie_that_browsers_would_refuse_is_refused_at_the_start(bare_app, config):
    app = bare_app(**config)
    with pytest.raises(ValueError, match=r"name|path|domain|same_site"):
        Redisess(app)
    assert "redisess" not in app.extensions


# What the web layer's own options do


def test_the_header_option_names_another_header_or_none(make_app):
    named, cookies_only = make_app(REDISESS_HEADER="X-Session"), make_app(REDISESS_HEADER=None)
    token = manager_of(named).create("ada").token
    for headers, expected in (
        ({"X-Session": token}, ("ada", None)),
        (bearer(token), (None, None)),
        (send_token(token), ("ada", "ada")),
    ):
        found = [visit(app, "/me", headers).json["user"] for app in (named, cookies_only)]
        assert found == list(expected)


def test_skip_leaves_the_session_closed_until_a_view_asks_for_it(make_app, wire):
    app = make_app(REDISESS_SKIP=lambda request: request.path in ("/", "/me"))
    client = app.test_client()
    client.post("/login/ada")
    with wire() as seen:
        client.get("/")
    assert seen.names == []
    with wire() as seen:
        assert client.get("/me").json["user"] == "ada"
    assert seen.names == ["EVALSHA"]


def test_a_skip_that_fails_fails_as_a_view_does(make_app):
    def skip(request):
        raise LookupError("skip")

    app = make_app(REDISESS_SKIP=skip)
    caught = []

    @app.errorhandler(LookupError)
    def handle(error):
        caught.append(error)
        return "handled", 418

    assert visit(app, "/me", send_token(UNKNOWN_TOKEN)).status_code == 418
    assert len(caught) == 1


def test_clear_site_data_is_sent_with_a_sign_out_only_where_it_is_asked_for(make_app):
    for asked in (False, True):
        client = make_app(REDISESS_CLEAR_SITE_DATA=asked).test_client()
        signed_in = client.post("/login/ada")
        assert "Clear-Site-Data" not in signed_in.headers
        assert "Clear-Site-Data" not in client.get("/me").headers
        signed_out = client.post("/logout")
        assert signed_out.headers.get("Clear-Site-Data") == ('"cache", "cookies", "storage"' if asked else None)


def test_clear_site_data_spares_the_cookie_of_the_session_that_follows_a_sign_out(make_app):
    app = make_app(REDISESS_CLEAR_SITE_DATA=True)

    @app.post("/leave")
    def leave():
        session.clear()
        session["message"] = "bye"
        return ""

    client = app.test_client()
    client.post("/login/ada")
    response = client.post("/leave")
    assert response.headers["Clear-Site-Data"] == '"cache", "storage"'
    assert [cookie.value for cookie in cookies_set(response)] == [token_of(client)]


def test_clear_site_data_clears_the_cookies_of_who_signed_in_and_out_in_one_request(make_app):
    app = make_app(REDISESS_CLEAR_SITE_DATA=True)

    @app.post("/through")
    def through():
        login("ada")
        current_session.save()
        shown = current_session.token
        logout()
        return shown

    response = visit(app, "/through", method="POST")
    assert response.headers["Clear-Site-Data"] == '"cache", "cookies", "storage"'
    assert [cookie.removes for cookie in cookies_set(response)] == [True]
    assert response.headers["Cache-Control"] == "no-store"  # the view may have shown the token, though it is dead


def test_clear_site_data_is_sent_of_a_sign_out_whatever_the_request_does_after_it(make_app):
    app = make_app(REDISESS_CLEAR_SITE_DATA=True)

    @app.post("/leave")
    def leave():
        logout()
        session["message"] = "bye"
        current_session.save()
        del session["message"]
        return ""

    client = app.test_client()
    client.post("/login/ada")
    response = client.post("/leave")
    assert response.headers["Clear-Site-Data"] == '"cache", "cookies", "storage"'
    assert [cookie.removes for cookie in cookies_set(response)] == [True]


def test_clear_site_data_is_not_sent_when_a_visitors_last_message_was_shown(make_app):
    client = make_app(REDISESS_CLEAR_SITE_DATA=True).test_client()
    client.post("/set/message/hello")
    response = client.post("/pop/message")
    assert cookies_set(response)[0].removes
    assert "Clear-Site-Data" not in response.headers


def test_where_the_app_sits_below_a_path_the_cookie_is_for_that_path(make_app):
    app = make_app(APPLICATION_ROOT="/shop")
    client = app.test_client()
    (cookie,) = cookies_set(client.post("/set/a/b"))
    assert cookie.attributes["path"] == "/shop"
    assert client.get("/me").json["data"] == {"a": "b"}


def test_an_app_of_a_class_of_its_own_works_as_well(redis_url, namespace):
    class Site(Flask):
        pass

    app = Site("site")
    app.config.update(REDISESS_URL=redis_url, REDISESS_NAMESPACE=namespace)
    Redisess(app)
    with manager_of(app):
        client = furnish(app).test_client()
        client.post("/login/ada")
        assert client.get("/me").json["user"] == "ada"
