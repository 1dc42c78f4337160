from __future__ import annotations

import pytest
from flask import session
from site_kit import UNKNOWN_TOKEN, bearer, cookies_set, manager_of, send_token, token_of, vary_of, visit

from redisess_flask import current_session, login, session_required

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVPmB92K27uhbUJU1p1r_wW1gFWFOEjXk"


@pytest.fixture
def api(make_app):
    """Make apps with a JSON sign-in for clients without cookies."""

    def make(**config):
        app = make_app(**config)

        @app.post("/token/<user>")
        def give_token(user):
            login(user, transport="header")
            return {"token": current_session.token}

        return app

    return make


# Which token counts


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_bearer_token_authenticates(app, sessions, scheme):
    token = sessions.create("ada").token
    assert visit(app, "/me", {"Authorization": f"{scheme} {token}"}).json["user"] == "ada"


def test_the_header_counts_before_the_cookie_and_the_other_is_not_tried(app, sessions):
    ada, bob = sessions.create("ada").token, sessions.create("bob").token
    assert visit(app, "/me", {**bearer(ada), **send_token(bob)}).json["user"] == "ada"
    assert visit(app, "/me", {**bearer(UNKNOWN_TOKEN), **send_token(bob)}).json["user"] is None


@pytest.mark.parametrize(
    "value", [f"Bearer {JWT}", "Basic YWRhOnB3", "Bearer", "Bearer ", "Token 1aa" + "a" * 26, "1aa" + "a" * 26]
)
def test_what_is_no_token_of_ours_is_somebody_elses_and_the_cookie_counts(app, sessions, value):
    token = sessions.create("ada").token
    assert visit(app, "/me", {"Authorization": value, **send_token(token)}).json["user"] == "ada"


def test_with_a_named_header_authorization_is_somebody_elses(api):
    app = api(REDISESS_HEADER="X-Auth-Token")
    token = visit(app, "/token/ada", method="POST").json["token"]
    assert visit(app, "/me", {"X-Auth-Token": token}).json["user"] == "ada"
    assert visit(app, "/me", bearer(token)).json["user"] is None


def test_two_cookies_of_the_sessions_name_are_no_token(app, sessions, wire):
    ada, eve = sessions.create("ada").token, sessions.create("eve").token
    with wire() as seen:
        for value in (f"{ada}; session={eve}", f"{ada}; session={ada}", f"{ada}; session="):
            assert visit(app, "/me", send_token(value)).json["user"] is None
    assert seen.names == []


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "1aa" + "a" * 25,
        "1aa" + "a" * 27,
        "1AA" + "a" * 26,
        "2aa" + "a" * 26,
        "1ab" + "a" * 26,
        "saa" + "0" * 25,
        '"1aa' + "a" * 26 + '"',
        "x" * 10_000,
        "../../etc/passwd",
        "%31aa" + "a" * 26,
        "",
    ],
)
def test_a_malformed_token_costs_no_command(app, wire, token):
    with wire() as seen:
        assert visit(app, "/me", send_token(token)).json["user"] is None
        assert visit(app, "/me", bearer(token)).json["user"] is None
    assert seen.names == []


def test_a_session_id_authenticates_nobody(app, sessions):
    handle = sessions.create("ada").session_id
    assert visit(app, "/me", send_token(handle)).json["user"] is None
    assert visit(app, "/me", bearer(handle)).json["user"] is None


def test_a_token_in_the_address_is_not_looked_at(app, sessions):
    token = sessions.create("ada").token
    assert visit(app, f"/me?session={token}&access_token={token}").json["user"] is None


# What a header client gets


def test_a_sign_in_for_a_header_client_shows_its_token_and_sets_no_cookie(api):
    app = api()
    response = visit(app, "/token/ada", method="POST")
    assert not cookies_set(response)
    assert response.headers["Cache-Control"] == "no-store"
    token = response.json["token"]
    assert visit(app, "/me", bearer(token)).json["user"] == "ada"


def test_a_header_client_writes_and_reads_its_session_and_never_gets_a_cookie(api):
    app = api()
    token = visit(app, "/token/ada", method="POST").json["token"]
    for path, method in (("/set/a/b", "POST"), ("/me", "GET"), ("/pop/zzz", "POST"), ("/logout", "POST")):
        response = visit(app, path, bearer(token), method)
        assert response.status_code == 200
        assert not cookies_set(response)
    assert visit(app, "/me", bearer(token)).json["user"] is None


def test_a_header_client_that_signs_in_again_gets_a_new_token_and_no_cookie(api):
    app = api()
    first = visit(app, "/token/ada", method="POST").json["token"]
    again = visit(app, "/login/ada", bearer(first), "POST")
    assert not cookies_set(again)
    second = visit(app, "/token/ada", bearer(first), "POST").json["token"]
    assert second != first
    assert visit(app, "/me", bearer(first)).json["user"] is None
    assert visit(app, "/me", bearer(second)).json["user"] == "ada"


def test_a_permanent_session_of_a_header_client_rolls_no_cookie(api):
    app = api()

    @app.before_request
    def make_permanent():
        session.permanent = True

    token = visit(app, "/token/ada", method="POST").json["token"]
    assert not cookies_set(visit(app, "/me", bearer(token)))


def test_a_browser_may_get_a_cookie_from_a_request_that_came_by_header(app, client, sessions):
    app.view_functions["sign_in"] = lambda user: login(user, transport="cookie") or ""
    token = sessions.create("ada").token
    (cookie,) = cookies_set(visit(app, "/login/ada", bearer(token), "POST"))
    assert visit(app, "/me", send_token(cookie.value)).json["user"] == "ada"


def test_a_browser_that_signs_in_for_a_header_keeps_its_cookie_untouched(api, sessions):
    app = api()
    client = app.test_client()
    client.post("/set/cart/tea")
    response = client.post("/token/ada")
    assert not cookies_set(response)
    assert visit(app, "/me", bearer(response.json["token"])).json["data"] == {"cart": "tea"}
    assert client.get("/me").json == {"user": None, "id": None, "data": {}}


def test_a_refused_sign_in_for_a_header_leaves_a_browser_a_browser(api, caplog):
    from redisess_core import SessionLimitReached

    app = api(REDISESS_MAX_SESSIONS_PER_USER=1, REDISESS_ON_LIMIT="refuse")

    @app.post("/try")
    def attempt():
        login("ada", transport="header")
        try:
            current_session.save()
        except SessionLimitReached:
            session["note"] = "too many"
        return ""

    visit(app, "/token/ada", method="POST")
    client = app.test_client()
    client.post("/try")
    assert client.get("/me").json["data"] == {"note": "too many"}
    assert token_of(client)


def test_a_refusal_asks_a_header_client_for_a_bearer_token(api):
    for config, expected in (
        ({}, "Bearer"),
        ({"REDISESS_HEADER": "authorization"}, "Bearer"),
        ({"REDISESS_HEADER": "X-Auth"}, None),
        ({"REDISESS_HEADER": None}, None),
    ):
        app = api(**config)
        app.view_functions["index"] = session_required(lambda: "secret")
        response = visit(app, "/")
        assert response.status_code == 401
        assert response.headers.get("WWW-Authenticate", "").strip() == (expected or "")


def test_an_answer_to_a_dead_bearer_token_varies_on_it(app):
    assert vary_of(visit(app, "/me", bearer(UNKNOWN_TOKEN))) == ["authorization"]


def test_header_clients_need_no_cookie_name_of_their_own(api):
    app = api(SESSION_COOKIE_NAME="anything")
    token = visit(app, "/token/ada", method="POST").json["token"]
    assert visit(app, "/me", bearer(token)).json["user"] == "ada"
    assert manager_of(app).count() == 1
