from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
from flask import session
from site_kit import UNKNOWN_TOKEN, bearer, cookies_set, manager_of, send_token, token_of, visit
from werkzeug.middleware.proxy_fix import ProxyFix

from redisess_flask import current_session, login

SECURE = {"base_url": "https://localhost"}


def the_cookie(response):
    (cookie,) = cookies_set(response)
    return cookie


@pytest.fixture
def lasting(make_app, clock):
    """An app whose sessions are permanent, as many make them: in a before_request."""
    app = make_app(REDISESS_CLOCK=clock, PERMANENT_SESSION_LIFETIME=timedelta(hours=5))

    @app.before_request
    def make_permanent():
        session.permanent = True

    return app


# Where the app set nothing


def test_the_cookie_has_the_name_and_attributes_that_flask_gives_it(client):
    cookie = the_cookie(client.post("/set/a/b"))
    assert cookie.name == "session"
    assert cookie.attributes == {"path": "/", "httponly": ""}


def test_on_a_request_by_https_the_cookie_is_secure_too(client):
    assert the_cookie(client.post("/set/a/b", **SECURE)).attributes == {"path": "/", "httponly": "", "secure": ""}


def test_https_that_a_trusted_proxy_ended_makes_the_cookie_secure(app):
    app.wsgi_app = ProxyFix(app.wsgi_app)
    cookie = the_cookie(visit(app, "/login/ada", {"X-Forwarded-Proto": "https"}, "POST"))
    assert "secure" in cookie.attributes


def test_the_cookie_holds_a_token_and_nothing_else(client, sessions):
    cookie = the_cookie(client.post("/set/a/b"))
    assert sessions.authenticate(cookie.value).data == {"a": "b"}
    assert len(cookie.value) <= 40


# What the app set


@pytest.mark.parametrize(
    ("config", "attributes"),
    [
        ({"SESSION_COOKIE_SECURE": True}, {"secure": ""}),
        ({"SESSION_COOKIE_HTTPONLY": False}, {"httponly": None}),
        ({"SESSION_COOKIE_SAMESITE": "Lax"}, {"samesite": "Lax"}),
        ({"SESSION_COOKIE_SAMESITE": "strict"}, {"samesite": "Strict"}),
        ({"SESSION_COOKIE_SAMESITE": "None", "SESSION_COOKIE_SECURE": True}, {"samesite": "None", "secure": ""}),
        ({"SESSION_COOKIE_PARTITIONED": True}, {"partitioned": "", "secure": ""}),
        ({"SESSION_COOKIE_PARTITIONED": True, "SESSION_COOKIE_SECURE": True}, {"partitioned": "", "secure": ""}),
        ({"SESSION_COOKIE_PATH": "/app"}, {"path": "/app"}),
        ({"SESSION_COOKIE_PATH": None}, {"path": "/"}),
        ({"SESSION_COOKIE_DOMAIN": "example.com"}, {"domain": "example.com"}),
        ({"SESSION_COOKIE_DOMAIN": ".example.com"}, {"domain": "example.com"}),
        ({"SESSION_COOKIE_DOMAIN": ""}, {}),
        ({"APPLICATION_ROOT": "/root"}, {"path": "/root"}),
        ({"APPLICATION_ROOT": "/root", "SESSION_COOKIE_PATH": "/"}, {"path": "/"}),
        ({"SERVER_NAME": "example.com"}, {}),
        ({"APPLICATION_ROOT": "/münchen shop"}, {"path": "/m%C3%BCnchen%20shop"}),
        ({"SESSION_COOKIE_PATH": '/m%C3%BCnchen/(a)"'}, {"path": "/m%C3%BCnchen/(a)%22"}),
        ({"SESSION_COOKIE_DOMAIN": "bücher.example"}, {"domain": "xn--bcher-kva.example"}),
        ({"SESSION_COOKIE_DOMAIN": ".bücher.example"}, {"domain": "xn--bcher-kva.example"}),
        ({"SESSION_COOKIE_DOMAIN": "xn--bcher-kva.example"}, {"domain": "xn--bcher-kva.example"}),
    ],
)
def test_each_of_flasks_cookie_settings_counts_when_it_is_set_and_when_it_is_removed(make_app, config, attributes):
    app = make_app(**config)
    signed_in = the_cookie(visit(app, "/login/ada", method="POST"))
    expected = {name: text for name, text in {"path": "/", "httponly": "", **attributes}.items() if text is not None}
    assert signed_in.attributes == expected
    removed = the_cookie(visit(app, "/logout", send_token(signed_in.value), "POST"))
    assert removed.removes
    assert {name: text for name, text in removed.attributes.items() if name not in ("expires", "max-age")} == expected


@pytest.mark.parametrize("domain", ["ü" * 64 + ".example", "a b.example", "ü..example", "http://ü.example"])
def test_a_domain_that_has_no_form_in_ascii_is_refused_at_set_up(make_app, domain):
    with pytest.raises(ValueError, match="domain"):
        make_app(SESSION_COOKIE_DOMAIN=domain)


def test_without_any_path_the_cookie_is_for_the_whole_host(make_app):
    app = make_app(APPLICATION_ROOT=None)
    cookie = the_cookie(visit(app, "/login/ada", method="POST", base_url="http://localhost"))
    assert cookie.attributes["path"] == "/"


@pytest.mark.parametrize("name", ["sid", "__Host-sid", "__Secure-sid"])
def test_the_cookies_name_is_the_apps(make_app, name):
    client = make_app(SESSION_COOKIE_NAME=name).test_client()
    assert the_cookie(client.post("/login/ada", **SECURE)).name == name
    assert client.get("/me", **SECURE).json["user"] == "ada"
    removed = the_cookie(client.post("/logout", **SECURE))
    assert removed.name == name
    assert removed.removes


def test_settings_that_change_while_the_app_runs_hold_from_the_next_response_on(app):
    first = the_cookie(visit(app, "/login/ada", method="POST"))
    app.config.update(SESSION_COOKIE_NAME="renamed", SESSION_COOKIE_PATH="/x", SESSION_COOKIE_SAMESITE="Lax")
    second = the_cookie(visit(app, "/login/ada", method="POST"))
    assert (second.name, second.attributes) == ("renamed", {"path": "/x", "httponly": "", "samesite": "Lax"})
    assert visit(app, "/me", send_token(second.value, "renamed")).json["user"] == "ada"
    assert visit(app, "/me", send_token(first.value)).json["user"] is None


def test_settings_that_a_view_changes_hold_for_its_own_response(app, client):
    @app.post("/strict")
    def strict():
        app.config["SESSION_COOKIE_SAMESITE"] = "Strict"
        session["a"] = 1
        return ""

    assert the_cookie(client.post("/strict")).attributes["samesite"] == "Strict"


@pytest.mark.parametrize(
    "config",
    [{"SESSION_COOKIE_SAMESITE": "None"}, {"SESSION_COOKIE_NAME": "__Host-sid"}, {"SESSION_COOKIE_NAME": "__secure-s"}],
)
def test_a_cookie_that_browsers_refuse_without_secure_has_it_by_http_too(make_app, config):
    assert "secure" in the_cookie(visit(make_app(**config), "/login/ada", method="POST")).attributes


def test_a_cookie_that_browsers_would_refuse_fails_the_request_that_sets_it_and_no_other(app, client, caplog):
    app.config["SESSION_COOKIE_DOMAIN"] = "not a domain"
    assert client.get("/me").status_code == 200
    assert client.post("/set/a/b").status_code == 500
    assert "domain is 'not a domain'; wanted a host name" in caplog.text


def test_a_cookie_for_a_domain_reaches_its_subdomains(make_app):
    app = make_app(SERVER_NAME="example.com", SESSION_COOKIE_DOMAIN="example.com")
    app.subdomain_matching = True

    @app.get("/", subdomain="shop")
    def shop():
        return {"user": session.user_id}

    client = app.test_client()
    client.post("/login/ada", base_url="http://example.com")
    assert client.get("/", base_url="http://shop.example.com").json["user"] == "ada"


def test_other_cookies_of_the_response_are_left_alone(app, client):
    @app.post("/prefer")
    def prefer():
        session["a"] = 1
        response = app.make_response("")
        response.set_cookie("theme", "dark")
        return response

    assert {cookie.name for cookie in cookies_set(client.post("/prefer"))} == {"theme", "session"}


# When it is sent


def test_the_cookie_is_sent_when_a_session_begins_and_not_again(client):
    assert len(cookies_set(client.post("/set/a/1"))) == 1
    assert not cookies_set(client.post("/set/a/2"))
    assert not cookies_set(client.post("/set/b/2"))
    assert not cookies_set(client.post("/pop/b"))
    assert not cookies_set(client.get("/me"))
    assert not cookies_set(client.get("/"))


@pytest.mark.parametrize("path", ["/", "/me", "/nowhere", "/static/style.css"])
def test_a_visitor_who_writes_nothing_gets_no_cookie_and_no_session(app, path, sessions):
    assert not cookies_set(visit(app, path))
    assert not cookies_set(visit(app, path, method="OPTIONS"))
    assert not cookies_set(visit(app, path, method="HEAD"))
    assert sessions.count() == 0


@pytest.mark.parametrize("path", ["/", "/me"])
def test_a_cookie_that_names_no_session_stays_until_something_is_written(app, path, sessions):
    response = visit(app, path, send_token(UNKNOWN_TOKEN))
    assert not cookies_set(response)
    written = the_cookie(visit(app, "/set/a/b", send_token(UNKNOWN_TOKEN), "POST"))
    assert written.value != UNKNOWN_TOKEN
    assert sessions.authenticate(written.value).data == {"a": "b"}
    assert sessions.authenticate(UNKNOWN_TOKEN) is None


def test_an_anonymous_session_emptied_by_deletions_is_killed_and_its_cookie_removed(client, sessions):
    client.post("/set/a/1")
    client.post("/set/b/2")
    assert not cookies_set(client.post("/pop/a"))
    assert the_cookie(client.post("/pop/b")).removes
    assert sessions.count() == 0
    assert token_of(client) is None


def test_a_signed_in_session_emptied_by_deletions_stays(client):
    client.post("/set/a/1")
    client.post("/login/ada")
    assert not cookies_set(client.post("/pop/a"))
    assert client.get("/me").json["user"] == "ada"


def test_an_anonymous_session_that_another_request_filled_is_not_ended_by_emptying_it_here(app, client, sessions):
    @app.post("/slow")
    def slow():
        sessions.get(session.session_id).set("b", 2)
        return session.pop("a")

    client.post("/set/a/1")
    assert not cookies_set(client.post("/slow"))
    assert client.get("/me").json["data"] == {"b": 2}


def test_a_sign_out_with_the_cookie_of_a_dead_session_removes_it(app, client, sessions):
    client.post("/login/ada")
    sessions.kill_user("ada")
    assert the_cookie(client.post("/logout")).removes
    assert not cookies_set(visit(app, "/logout", method="POST"))


def test_redirects_errors_and_files_set_the_cookie_as_any_response_does(app, tmp_path):
    from flask import abort, redirect, send_file

    folder = tmp_path / "file"
    folder.write_text("text")
    answers = {
        "redirect": lambda: redirect("/me"),
        "forbidden": lambda: abort(403),
        "file": lambda: send_file(folder),
        "created": lambda: ("", 201),
    }

    @app.post("/answer/<kind>")
    def answer(kind):
        session["kind"] = kind
        return answers[kind]()

    for kind, status in {"redirect": 302, "forbidden": 403, "file": 200, "created": 201}.items():
        with visit(app, f"/answer/{kind}", method="POST") as response:
            assert response.status_code == status
            assert visit(app, "/me", send_token(the_cookie(response).value)).json["data"] == {"kind": kind}


# Permanent


def test_a_permanent_session_lives_the_configured_time_and_so_does_its_cookie(lasting, clock):
    client = lasting.test_client()
    before = datetime.now(UTC)
    cookie = the_cookie(client.post("/set/a/b"))
    assert cookie.attributes["max-age"] == str(5 * 3600)
    expires = parsedate_to_datetime(cookie.attributes["expires"])
    assert timedelta(hours=5) <= expires - before.replace(microsecond=0) <= timedelta(hours=5, minutes=1)
    clock.advance(5 * 3600 - 1)
    assert client.get("/me").json["data"] == {"a": "b", "_permanent": True}
    clock.advance(5 * 3600)
    assert client.get("/me").json["data"] == {"_permanent": True}


def test_any_other_session_has_the_idle_timeout_and_a_cookie_for_the_browsers_session(client, clock):
    cookie = the_cookie(client.post("/set/a/b"))
    assert {"max-age", "expires"}.isdisjoint(cookie.attributes)
    clock.advance(1799)
    assert client.get("/me").json["data"] == {"a": "b"}
    clock.advance(1800)
    assert client.get("/me").json["data"] == {}


def test_without_configuration_a_permanent_session_lives_the_31_days_of_flask(make_app):
    app = make_app()

    @app.post("/stay")
    def stay():
        session.permanent = True
        session["a"] = 1
        return {"left": session.expires_in}

    client = app.test_client()
    assert the_cookie(client.post("/stay")).attributes["max-age"] == str(31 * 24 * 3600)
    assert client.post("/stay").json["left"] == pytest.approx(31 * 24 * 3600, abs=60)


def test_the_cookie_of_a_permanent_session_is_sent_with_every_response(lasting):
    client = lasting.test_client()
    token = the_cookie(client.post("/set/a/b")).value
    for path in ("/", "/me"):
        rolled = the_cookie(client.get(path))
        assert (rolled.value, rolled.attributes["max-age"]) == (token, str(5 * 3600))


def test_the_cookie_does_not_roll_where_the_app_turned_that_off(lasting):
    lasting.config["SESSION_REFRESH_EACH_REQUEST"] = False
    client = lasting.test_client()
    client.post("/set/a/b")
    assert not cookies_set(client.get("/me"))
    assert the_cookie(client.post("/login/ada")).attributes["max-age"] == str(5 * 3600)


def test_permanent_on_every_request_neither_opens_nor_rolls_for_static_files(lasting, wire):
    client = lasting.test_client()
    client.post("/set/a/b")
    with wire() as seen:
        response = client.get("/static/style.css", buffered=True)
    assert seen.names == []
    assert not cookies_set(response)
    assert "no-store" not in response.headers.get("Cache-Control", "")


def test_permanent_is_remembered_until_a_session_that_was_skipped_is_opened(make_app):
    app = make_app(REDISESS_SKIP=lambda request: True)

    @app.before_request
    def make_permanent():
        session.permanent = True

    client = app.test_client()
    client.post("/set/a/1")
    assert client.get("/me").json["data"] == {"a": "1", "_permanent": True}
    assert len(cookies_set(client.post("/set/a/2"))) == 1
    assert not cookies_set(client.get("/"))


def test_permanent_on_every_request_creates_no_session_for_visitors(lasting, wire):
    with wire() as seen:
        for path in ("/", "/me", "/nowhere"):
            assert not cookies_set(visit(lasting, path))
    assert seen.names == []
    assert manager_of(lasting).count() == 0


def test_permanent_on_every_request_writes_nothing_again(lasting, wire):
    client = lasting.test_client()
    client.post("/set/a/b")
    client.get("/me")
    with wire() as seen:
        client.get("/me")
    assert not [command for command in seen.in_scripts if command.name == "HSET"]


def test_a_session_that_becomes_permanent_gets_the_longer_life_and_back(app, client, clock):
    @app.post("/stay/<int:on>")
    def stay(on):
        session.permanent = bool(on)
        return str(session.permanent)

    client.post("/set/a/b")
    assert the_cookie(client.post("/stay/1")).attributes["max-age"] == str(31 * 24 * 3600)
    clock.advance(24 * 3600)
    assert client.get("/me").json["data"] == {"a": "b", "_permanent": True}
    client.post("/stay/0")
    clock.advance(1800)
    assert client.get("/me").json["data"] == {}


@pytest.mark.parametrize("refreshed", [False, True])
@pytest.mark.parametrize("saved", [False, True])
def test_the_cookie_gets_the_life_of_a_session_that_becomes_permanent_or_ceases_to_be(make_app, refreshed, saved):
    app = make_app(SESSION_REFRESH_EACH_REQUEST=refreshed)

    @app.post("/stay/<int:on>")
    def stay(on):
        session.permanent = bool(on)
        if saved:
            current_session.save()
        return ""

    @app.post("/hesitate")
    def hesitate():
        session.permanent = not session.permanent
        session.permanent = not session.permanent
        return ""

    client = app.test_client()
    client.post("/login/ada")
    token = token_of(client)
    for on in (1, 0, 1):
        cookie = the_cookie(client.post(f"/stay/{on}"))
        assert cookie.value == token
        assert cookie.attributes.get("max-age") == (str(31 * 24 * 3600) if on else None)
        assert len(cookies_set(client.post(f"/stay/{on}"))) == (on and refreshed)
        assert len(cookies_set(client.post("/hesitate"))) == (on and refreshed)


def test_a_header_client_gets_no_cookie_where_its_session_becomes_permanent(app, sessions):
    app.view_functions["index"] = lambda: setattr(session, "permanent", True) or ""
    response = visit(app, "/", bearer(sessions.create("ada").token))
    assert (response.status_code, cookies_set(response)) == (200, [])


def test_a_request_that_failed_leaves_the_cookies_life_as_it_was(make_app):
    app = make_app(TESTING=True, SESSION_REFRESH_EACH_REQUEST=False)

    @app.get("/fail")
    def fail():
        session.permanent = True
        session["list"] = held = []
        held.append(object())
        return ""

    app.register_error_handler(TypeError, lambda error: ("no", 500))
    client = app.test_client()
    client.post("/login/ada")
    assert not cookies_set(client.get("/fail"))
    assert client.get("/me").json["data"] == {}


def test_a_signed_in_permanent_session_emptied_by_deletions_stays_permanent(lasting):
    client = lasting.test_client()
    client.post("/login/ada")
    client.post("/set/a/b")
    client.post("/pop/a")
    assert client.get("/me").json["data"] == {"_permanent": True}
    assert the_cookie(client.get("/")).attributes["max-age"] == str(5 * 3600)


def test_a_permanent_session_that_a_sign_in_rotates_stays_permanent(lasting, clock):
    client = lasting.test_client()
    client.post("/set/a/b")
    assert the_cookie(client.post("/login/ada")).attributes["max-age"] == str(5 * 3600)
    clock.advance(4 * 3600)
    assert client.get("/me").json["user"] == "ada"


def test_the_permanent_lifetime_is_read_when_it_is_needed(lasting, clock):
    client = lasting.test_client()
    client.post("/set/a/b")
    lasting.permanent_session_lifetime = 60
    assert the_cookie(client.get("/me")).attributes["max-age"] == "60"
    other = lasting.test_client()
    other.post("/set/a/b")
    clock.advance(60)
    assert other.get("/me").json["data"] == {"_permanent": True}


@pytest.mark.parametrize(("ttl", "age"), [(60, 60), (0.5, 1), (6 * 3600, 5 * 3600), (0, 5 * 3600), (None, 5 * 3600)])
def test_the_cookie_of_a_permanent_session_does_not_outlive_its_idle_timeout(lasting, ttl, age):
    lasting.view_functions["sign_in"] = lambda user: login(user, ttl=ttl) or ""
    client = lasting.test_client()
    assert the_cookie(client.post("/login/ada")).attributes["max-age"] == str(age)
    assert the_cookie(client.get("/me")).attributes["max-age"] == str(age)


def test_a_longer_permanent_lifetime_holds_for_sessions_that_begin_from_then_on(lasting):
    client = lasting.test_client()
    client.post("/set/a/b")
    lasting.permanent_session_lifetime = timedelta(hours=9)
    assert the_cookie(client.get("/me")).attributes["max-age"] == str(5 * 3600)
    assert the_cookie(client.post("/login/ada")).attributes["max-age"] == str(5 * 3600)
    assert the_cookie(visit(lasting, "/set/a/b", method="POST")).attributes["max-age"] == str(9 * 3600)


def test_a_lifetime_beyond_what_browsers_keep_is_cut_in_the_cookie_only(make_app):
    app = make_app(PERMANENT_SESSION_LIFETIME=timedelta(days=1000))

    @app.post("/stay")
    def stay():
        session.permanent = True
        session["a"] = 1
        return {"left": session.expires_in}

    client = app.test_client()
    assert the_cookie(client.post("/stay")).attributes["max-age"] == str(400 * 24 * 3600)
    assert client.post("/stay").json["left"] == pytest.approx(1000 * 24 * 3600, abs=60)


def test_a_lifetime_of_less_than_a_second_sets_no_cookie_that_is_over_already(make_app):
    app = make_app(PERMANENT_SESSION_LIFETIME=timedelta(seconds=0.5))

    @app.post("/stay")
    def stay():
        session.permanent = True
        session["a"] = 1
        return ""

    assert the_cookie(visit(app, "/stay", method="POST")).attributes["max-age"] == "1"


@pytest.mark.parametrize("lifetime", [0, -1, timedelta(0)])
def test_a_permanent_lifetime_of_nothing_is_refused_and_never_means_for_ever(make_app, bare_app, lifetime):
    from redisess_flask import Redisess

    with pytest.raises(ValueError, match="PERMANENT_SESSION_LIFETIME"):
        Redisess(bare_app(PERMANENT_SESSION_LIFETIME=lifetime))
    app = make_app()

    @app.post("/stay")
    def stay():
        session.permanent = True
        session["a"] = 1
        return ""

    app.config["PERMANENT_SESSION_LIFETIME"] = lifetime
    assert app.test_client().post("/stay").status_code == 500
    assert manager_of(app).count() == 0


def test_a_max_lifetime_ends_a_permanent_session_too(make_app, clock):
    app = make_app(REDISESS_CLOCK=clock, REDISESS_MAX_LIFETIME=3600)

    @app.before_request
    def make_permanent():
        session.permanent = True

    client = app.test_client()
    client.post("/login/ada")
    for _ in range(3):
        clock.advance(1199)
        assert client.get("/me").json["user"] == "ada"
    clock.advance(3)
    assert client.get("/me").json["user"] is None
