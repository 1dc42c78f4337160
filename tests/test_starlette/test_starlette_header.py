"""Where a request's token comes from; clients without cookies; what is no token."""

from __future__ import annotations

import pytest
from starlette_kit import (
    COOKIE,
    UNKNOWN_TOKEN,
    bearer,
    cookies_set,
    no_more,
    scope_of,
    send_token,
    serves,
    token_of,
    vary_of,
    visit,
)

from redisess_core import SessionLimitReached
from redisess_starlette import current_session, login

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVPmB92K27uhbUJU1p1r_wW1gFWFOEjXk"


def user_of(app, headers):
    response = visit(app, "/me", headers)
    assert response.status_code == 200
    return response.json()["user"]


# Which token counts


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_bearer_token_authenticates(app, sessions, scheme):
    token = sessions.create("ada").token
    assert user_of(app, {"Authorization": f"{scheme} {token}"}) == "ada"


def test_the_header_counts_before_the_cookie_and_the_other_is_not_tried(app, sessions):
    ada, bob = sessions.create("ada").token, sessions.create("bob").token
    assert user_of(app, {**bearer(ada), **send_token(bob)}) == "ada"
    assert user_of(app, {**bearer(UNKNOWN_TOKEN), **send_token(bob)}) is None


@pytest.mark.parametrize(
    "value", [f"Bearer {JWT}", "Basic YWRhOnB3", "Bearer", "Bearer ", "Token 1aa" + "a" * 26, "1aa" + "a" * 26]
)
def test_what_is_no_token_of_ours_is_somebody_elses_and_the_cookie_counts(app, sessions, value):
    token = sessions.create("ada").token
    assert user_of(app, {"Authorization": value, **send_token(token)}) == "ada"


def test_another_header_is_read_as_the_token_alone_and_authorization_is_somebody_elses(make_app, sessions):
    app = make_app(header="X-Auth-Token")
    token = sessions.create("ada").token
    assert user_of(app, {"X-Auth-Token": token}) == "ada"
    assert user_of(app, {"x-auth-token": token}) == "ada"
    assert user_of(app, bearer(token)) is None


def test_without_a_header_only_cookies_count(make_app, sessions):
    app = make_app(header=None)
    token = sessions.create("ada").token
    assert user_of(app, bearer(token)) is None
    assert user_of(app, send_token(token)) == "ada"


def test_a_header_that_was_sent_twice_is_no_token(app, sessions):
    ada, eve = sessions.create("ada").token, sessions.create("eve").token
    twice = [("Authorization", f"Bearer {ada}"), ("Authorization", f"Bearer {eve}")]
    assert user_of(app, twice) is None


# What is no token, and never an error


def test_two_cookies_of_the_sessions_name_are_no_token(app, sessions, wire):
    ada, eve = sessions.create("ada").token, sessions.create("eve").token
    with wire() as seen:
        for value in (f"{ada}; {COOKIE}={eve}", f"{ada}; {COOKIE}={ada}", f"{ada}; {COOKIE}="):
            assert user_of(app, send_token(value)) is None
        assert user_of(app, [("Cookie", f"{COOKIE}={ada}"), ("Cookie", f"{COOKIE}={eve}")]) is None
    assert seen.names == []


def test_cookies_may_come_in_several_headers(app, sessions):
    token = sessions.create("ada").token
    assert user_of(app, [("Cookie", "other=1"), ("Cookie", f"{COOKIE}={token}"), ("Cookie", "x")]) == "ada"


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
        "null",
    ],
)
def test_a_malformed_token_costs_no_command(app, wire, token):
    with wire() as seen:
        assert user_of(app, send_token(token)) is None
        assert user_of(app, bearer(token)) is None
    assert seen.names == []


@pytest.mark.parametrize(
    "cookie",
    [
        b"\xff\xfe\x00",
        b"__Host-session=\xff\x80" + b"a" * 27,
        b"__Host-session=" + "käse".encode(),
        b"__Host-session",
        b"=;=;;;",
        b"__Host-session=1aa\x00" + b"a" * 25,
        b"a=" + b"b" * 200_000,
        b"; ".join([b"__Host-session=x"] * 3000),
    ],
)
@pytest.mark.parametrize("name", [b"cookie", b"authorization", b"user-agent"])
@pytest.mark.anyio
async def test_bytes_that_make_no_sense_are_no_token_and_no_error(app, wire, name, cookie):
    sent = []

    async def send(message):
        sent.append(message)

    with wire() as seen:
        await app({**scope_of("/me"), "headers": [(name, cookie)]}, no_more, send)
    assert sent[0]["status"] == 200
    assert b"set-cookie" not in dict(sent[0]["headers"])
    assert seen.names == []


def test_beside_cookies_that_are_too_long_a_token_in_the_header_still_counts(app, sessions):
    token = sessions.create("ada").token
    assert user_of(app, {**bearer(token), "Cookie": "x" * 100_000}) == "ada"
    assert user_of(app, {"Cookie": f"{COOKIE}={token}; x={'x' * 100_000}"}) is None


def test_a_session_id_authenticates_nobody(app, sessions):
    handle = sessions.create("ada").session_id
    assert user_of(app, send_token(handle)) is None
    assert user_of(app, bearer(handle)) is None


def test_a_token_in_the_address_is_not_looked_at(app, sessions):
    token = sessions.create("ada").token
    assert visit(app, f"/me?session={token}&access_token={token}").json()["user"] is None


# What a header client gets


def test_a_sign_in_for_a_header_client_shows_its_token_and_sets_no_cookie(app):
    response = visit(app, "/token/ada", method="POST")
    assert not cookies_set(response)
    assert response.headers["cache-control"] == "no-store"
    assert user_of(app, bearer(response.json()["token"])) == "ada"


def test_a_header_client_writes_and_reads_its_session_and_never_gets_a_cookie(make_app):
    app = make_app(rolling=True, max_age=60)
    token = visit(app, "/token/ada", method="POST").json()["token"]
    for path, method in (("/set/a/b", "POST"), ("/me", "GET"), ("/pop/zzz", "POST"), ("/logout", "POST")):
        response = visit(app, path, bearer(token), method)
        assert response.status_code == 200
        assert not cookies_set(response)
    assert user_of(app, bearer(token)) is None


def test_a_header_client_that_signs_in_again_gets_a_new_token_and_no_cookie(app):
    first = visit(app, "/token/ada", method="POST").json()["token"]
    again = visit(app, "/token/ada", bearer(first), "POST")
    assert not cookies_set(again)
    second = again.json()["token"]
    assert second != first
    assert user_of(app, bearer(first)) is None
    assert user_of(app, bearer(second)) == "ada"


def test_a_browser_may_get_a_cookie_from_a_request_that_came_by_header(app, sessions):
    serves(app, lambda request: login(request, "ada", transport="cookie"))
    (cookie,) = cookies_set(visit(app, "/", bearer(sessions.create("ada").token)))
    assert user_of(app, send_token(cookie.value)) == "ada"


def test_a_browser_that_signs_in_for_a_header_keeps_its_cookie_untouched(app, client):
    client.post("/set/cart/tea")
    response = client.post("/token/ada")
    assert not cookies_set(response)
    assert visit(app, "/me", bearer(response.json()["token"])).json()["data"] == {"cart": "tea"}
    assert client.get("/me").json() == {"user": None, "id": None, "data": {}}


def test_a_refused_sign_in_for_a_header_leaves_a_browser_a_browser(make_app, browse):
    app = make_app(max_sessions_per_user=1, on_limit="refuse")

    async def attempt(request):
        login(request, "ada", transport="header")
        with pytest.raises(SessionLimitReached):
            await current_session(request).save()
        request.session["note"] = "too many"

    visit(app, "/token/ada", method="POST")
    serves(app, attempt)
    client = browse(app)
    client.get("/")
    assert token_of(client)
    assert client.get("/me").json()["data"] == {"note": "too many"}


def test_an_answer_to_a_dead_bearer_token_varies_on_it(app):
    assert vary_of(visit(app, "/me", bearer(UNKNOWN_TOKEN))) == ["authorization"]
