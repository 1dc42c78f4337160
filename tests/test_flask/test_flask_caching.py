from __future__ import annotations

import pytest
from flask import current_app, make_response, session
from site_kit import UNKNOWN_TOKEN, bearer, send_token, token_of, vary_of, visit

from redisess_flask import current_session, login, sessions


def clear():
    session.clear()


READS = {
    "get": lambda: session.get("a"),
    "in": lambda: "a" in session,
    "len": lambda: len(session),
    "iteration": lambda: list(session),
    "items": lambda: list(session.items()),
    "truth": lambda: bool(session),
    "equality": lambda: session == {},
    "user_id": lambda: current_session.user_id,
    "session_id": lambda: current_session.session_id,
    "new": lambda: session.new,
    "permanent": lambda: session.permanent,
    "fields": lambda: current_session.fields,
    "expires_in": lambda: current_session.expires_in,
    "authenticated_within": lambda: current_session.authenticated_within(60),
    "sessions": sessions,
    "write": lambda: session.update(b=1),
    "pop": lambda: session.pop("a", None),
    "clear": clear,
}


@pytest.fixture
def answer(app):
    """Make a view of `app` that does something and answers with these headers."""

    def make(action, headers=()):
        def view():
            action()
            response = make_response("done")
            for name, text in headers:
                response.headers.add(name, text)
            return response

        app.view_functions["index"] = view

    return make


# Vary


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("signed_in", [False, True])
def test_a_response_that_depends_on_the_session_says_so_however_it_was_asked(app, client, answer, read, signed_in):
    answer(READS[read])
    if signed_in:
        client.post("/set/a/1")
    assert vary_of(client.get("/")) == ["cookie"]


def test_a_response_that_does_not_depend_on_the_session_is_left_to_caches(client, answer):
    answer(lambda: None)
    client.post("/set/a/1")
    response = client.get("/")
    assert vary_of(response) == []
    assert "Cache-Control" not in response.headers


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([("Vary", "Accept-Encoding")], ["accept-encoding", "cookie"]),
        ([("Vary", "cookie, Accept")], ["cookie", "accept"]),
        ([("Vary", "Accept"), ("Vary", "Origin")], ["accept", "origin", "cookie"]),
        ([("Vary", "*")], ["*"]),
    ],
)
def test_what_the_response_varies_on_already_stays(client, answer, headers, expected):
    answer(lambda: session.get("a"), headers)
    assert vary_of(client.get("/")) == expected


def test_what_after_request_varies_on_stays_too(app, client):
    @app.after_request
    def vary(response):
        response.vary.add("Accept-Language")
        session.get("a")
        return response

    assert vary_of(client.get("/")) == ["accept-language", "cookie"]


def test_a_session_read_in_a_template_counts_as_read(app, client):
    from flask import render_template_string

    app.view_functions["index"] = lambda: render_template_string("{% if session['user'] %}x{% endif %}")
    assert "cookie" in vary_of(client.get("/"))


def test_an_answer_to_a_header_client_varies_on_that_header(make_app):
    app = make_app(REDISESS_HEADER="X-Session")
    token = visit(app, "/login/ada", method="POST").headers["Set-Cookie"].split("=")[1].split(";")[0]
    assert vary_of(visit(app, "/me", {"X-Session": token})) == ["x-session"]
    assert vary_of(visit(app, "/me", send_token(token))) == ["x-session", "cookie"]
    assert vary_of(visit(app, "/me")) == ["x-session", "cookie"]


def test_an_answer_to_a_bearer_client_varies_on_authorization(app, client):
    client.post("/login/ada")
    assert vary_of(visit(app, "/me", bearer(token_of(client)))) == ["authorization"]
    assert vary_of(visit(app, "/me")) == ["cookie"]


def test_a_refusal_by_session_required_varies_too(app, client):
    from redisess_flask import session_required

    app.view_functions["index"] = session_required(lambda: "secret")
    response = client.get("/")
    assert response.status_code == 401
    assert vary_of(response) == ["cookie"]


def test_an_error_page_varies_if_the_view_read_the_session_before_it_failed(app, client, answer):
    def fail():
        session.get("a")
        raise LookupError

    answer(fail)
    response = client.get("/")
    assert response.status_code == 500
    assert vary_of(response) == ["cookie"]


# Cache-Control


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, "no-store"),
        ("public, max-age=60", "no-store"),
        ("no-cache", "no-store"),
        ('private="Set-Cookie"', "no-store"),
        ("private", "private"),
        ("max-age=60, PRIVATE", "max-age=60, PRIVATE"),
        ("no-store, max-age=0", "no-store, max-age=0"),
    ],
)
@pytest.mark.parametrize("action", [lambda: session.update(a=1), lambda: login("ada")])
def test_a_response_that_sets_a_token_is_kept_out_of_caches(client, answer, action, given, expected):
    answer(action, [("Cache-Control", given)] if given else [])
    assert client.get("/").headers["Cache-Control"] == expected


def test_a_token_that_a_view_shows_a_header_client_is_kept_out_of_caches_too(app, client):
    app.view_functions["index"] = lambda: (login("ada", transport="header"), {"token": current_session.token})[1]
    response = client.get("/")
    assert response.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("action", [lambda: session.get("a"), lambda: session.update(a=2), clear])
def test_a_response_that_sets_no_token_keeps_its_cache_control(client, answer, action):
    client.post("/set/a/1")
    answer(action, [("Cache-Control", "public, max-age=60")])
    assert client.get("/").headers["Cache-Control"] == "public, max-age=60"


def test_a_rolling_cookie_is_kept_out_of_caches_and_varies_though_nobody_read_the_session(make_app):
    app = make_app()

    @app.post("/stay")
    def stay():
        session.permanent = True
        session["a"] = 1
        return ""

    client = app.test_client()
    client.post("/stay")
    response = client.get("/")
    assert "Set-Cookie" in response.headers
    assert response.headers["Cache-Control"] == "no-store"
    assert vary_of(response) == ["cookie"]


def test_files_and_conditional_answers_carry_the_same_headers(app, tmp_path):
    from flask import send_file

    path = tmp_path / "file"
    path.write_text("text")

    def view():
        current_app.logger.debug(session.get("a"))
        return send_file(path, conditional=True, etag=True, max_age=60)

    app.view_functions["index"] = view
    first = visit(app, "/")
    second = visit(app, "/", {"If-None-Match": first.headers["ETag"], **send_token(UNKNOWN_TOKEN)})
    assert (first.status_code, second.status_code) == (200, 304)
    assert vary_of(first) == vary_of(second) == ["cookie"]
