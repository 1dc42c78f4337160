"""What a request costs: the commands that really reach Redis."""

from __future__ import annotations

import pytest
from flask import Blueprint, session
from site_kit import UNKNOWN_TOKEN, bearer, manager_of, send_token, visit

from redisess_flask import current_session, login, logout, session_required

PAGES = ["/", "/me", "/nowhere", "/static/style.css", "/static/missing.css"]


@pytest.fixture
def warm(make_app):
    """A furnished app whose every script was loaded once."""
    app = make_app()
    blueprint = Blueprint("shop", "shop", static_folder=app.static_folder, url_prefix="/shop")
    app.register_blueprint(blueprint)

    @app.post("/both/<value>")
    def both(value):
        session["seen"] = session.get("seen", 0) + 1
        session["value"] = value
        return ""

    @app.post("/rotate")
    def rotate():
        current_session.rotate()
        return ""

    @app.post("/switch/<user>")
    def switch(user):
        logout()
        login(user)
        session["a"] = 1
        return ""

    @app.get("/guarded")
    @session_required(fresh=60)
    def guarded():
        return "in"

    client = app.test_client()
    for path in ("/both/0", "/login/ada", "/login/bob", "/both/1", "/rotate", "/switch/eve", "/logout"):
        client.post(path)
    client.post("/both/1")
    client.post("/logout")
    client.post("/set/a/b")
    client.post("/pop/a")
    with client.session_transaction() as opened:
        opened.permanent = True
        opened["a"] = 1
    client.get("/")
    return app


@pytest.fixture
def cost(warm, wire):
    """Count the commands of one request: `cost("/me", headers)`."""

    def count(path, headers=None, method="GET"):
        with wire() as seen:
            response = visit(warm, path, headers, method)
        assert response.status_code < 500
        assert set(seen.names) <= {"EVALSHA"}
        return len(seen)

    return count


@pytest.fixture
def token(warm):
    return manager_of(warm).create("ada", data={"a": 1}).token


@pytest.fixture
def anonymous(warm):
    return manager_of(warm).create(None, data={"a": 1}).token


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("headers", [{}, send_token("malformed"), {"Authorization": "Bearer some.other.thing"}])
def test_a_visitor_without_a_token_costs_nothing(cost, path, headers):
    assert cost(path, headers) == 0


@pytest.mark.parametrize("path", ["/static/style.css", "/static/missing.css", "/shop/static/style.css"])
def test_a_static_file_costs_nothing_even_with_a_token(cost, path, token):
    assert cost(path, send_token(token)) == 0


@pytest.mark.parametrize("path", ["/", "/me", "/nowhere", "/guarded"])
def test_reading_costs_one(cost, path, token):
    assert cost(path, send_token(token)) == 1
    assert cost(path, bearer(token)) == 1
    assert cost(path, send_token(UNKNOWN_TOKEN)) == 1


def test_reading_and_writing_costs_two(cost, token):
    assert cost("/both/1", send_token(token), "POST") == 2
    assert cost("/both/2", send_token(token), "POST") == 2


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


def test_rolling_a_cookie_costs_one_look_whether_it_is_still_the_right_one(cost, warm):
    token = manager_of(warm).create("ada", data={"_permanent": True}).token
    assert cost("/", send_token(token)) == 2
    assert cost("/set/a/1", send_token(token), "POST") == 2
    warm.config["SESSION_REFRESH_EACH_REQUEST"] = False
    assert cost("/", send_token(token)) == 1


def test_a_sign_in_that_changes_the_shard_costs_three(make_app, wire):
    app = make_app(REDISESS_SHARDS=16)
    moves = []
    for n in range(20):
        client = app.test_client()
        client.post("/set/a/b")
        with wire() as seen:
            client.post(f"/login/user{n}")
        moves.append(len([name for name in seen.names if name == "EVALSHA"]))
        client.post("/logout")
    assert max(moves) == 3


def test_the_first_request_of_a_process_looks_at_the_namespace_once(make_app, wire):
    manager_of(make_app()).create("ada")
    app = make_app()
    with wire() as seen:
        visit(app, "/", send_token(UNKNOWN_TOKEN))
    assert seen.names == ["EVALSHA", "EVALSHA"]
    with wire() as seen:
        visit(app, "/", send_token(UNKNOWN_TOKEN))
    assert seen.names == ["EVALSHA"]
