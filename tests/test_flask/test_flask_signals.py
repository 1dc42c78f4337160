from __future__ import annotations

import pytest
from flask import session
from site_kit import kill_current, manager_of, send_token, token_of, visit

from redisess_core.tokens import session_id_of
from redisess_flask import (
    current_session,
    end_session,
    login,
    logout,
    logout_everywhere,
    logout_others,
    session_created,
    session_interrupted,
    session_killed,
)


def id_of(client):
    return session_id_of(token_of(client))


def test_a_new_session_is_told_once_it_is_stored(app, client, told):
    client.post("/set/a/b")
    client.post("/set/a/c")
    client.get("/me")
    assert told == [("session_created", {"sender": app, "session_id": id_of(client), "user_id": None})]


def test_a_sign_in_tells_of_the_rotation_and_who_it_is(app, client, told):
    client.post("/set/a/b")
    first = id_of(client)
    told.clear()
    client.post("/login/ada")
    assert told == [
        ("session_rotated", {"sender": app, "session_id": first, "user_id": None, "successor": id_of(client)})
    ]


def test_a_sign_in_without_a_session_before_tells_of_a_new_one(app, client, told):
    client.post("/login/ada")
    assert told == [("session_created", {"sender": app, "session_id": id_of(client), "user_id": "ada"})]


def test_a_sign_out_tells_whose_session_ended(app, client, told):
    client.post("/login/ada")
    ended = id_of(client)
    told.clear()
    client.post("/logout")
    assert told == [("session_killed", {"sender": app, "session_id": ended, "user_id": "ada"})]


def test_another_user_in_the_same_browser_tells_of_an_end_and_a_beginning(app, client, told):
    client.post("/login/ada")
    adas = id_of(client)
    told.clear()
    client.post("/login/bob")
    assert told == [
        ("session_killed", {"sender": app, "session_id": adas, "user_id": "ada"}),
        ("session_created", {"sender": app, "session_id": id_of(client), "user_id": "bob"}),
    ]


def test_a_session_ended_on_another_device_tells_of_that_one(app, client, told):
    other = manager_of(app).create("ada").session_id
    app.view_functions["index"] = lambda: str(end_session(other))
    client.post("/login/ada")
    told.clear()
    assert client.get("/").text == "True"
    assert told == [("session_killed", {"sender": app, "session_id": other, "user_id": "ada"})]
    told.clear()
    assert client.get("/").text == "False"
    assert told == []


def test_ending_ones_own_session_everywhere_tells_of_this_one(app, client, told):
    app.view_functions["index"] = lambda: str(logout_everywhere())
    client.post("/login/ada")
    ended = id_of(client)
    told.clear()
    client.get("/")
    assert told == [("session_killed", {"sender": app, "session_id": ended, "user_id": "ada"})]


def test_an_anonymous_session_that_is_emptied_tells_of_its_end(app, client, told):
    client.post("/set/a/b")
    ended = id_of(client)
    told.clear()
    client.post("/pop/a")
    assert told == [("session_killed", {"sender": app, "session_id": ended, "user_id": None})]


def test_a_session_that_others_ended_while_its_request_ran_is_told_as_interrupted(app, client, told):
    @app.post("/slow")
    def slow():
        kill_current()
        session["late"] = 1
        return ""

    client.post("/login/ada")
    ended = id_of(client)
    told.clear()
    client.post("/slow")
    assert told == [("session_interrupted", {"sender": app, "session_id": ended, "user_id": "ada"})]


def test_several_things_in_one_request_are_told_in_their_order(app, client, told):
    @app.post("/busy")
    def busy():
        session["cart"] = 1
        current_session.save()
        login("ada")
        current_session.save()
        logout()
        return ""

    client.post("/busy")
    assert [name for name, _ in told] == ["session_created", "session_rotated", "session_killed"]
    created, rotated, killed = (said["session_id"] for _, said in told)
    assert created == rotated != killed
    assert told[1][1]["successor"] == killed


def test_nothing_is_told_of_what_was_refused_or_failed(make_app, told):
    app = make_app(REDISESS_MAX_SESSIONS_PER_USER=1, REDISESS_ON_LIMIT="refuse", REDISESS_MAX_DATA_BYTES=50)
    manager_of(app).create("ada")
    assert visit(app, "/login/ada", method="POST").status_code == 403
    assert visit(app, f"/set/a/{'x' * 100}", method="POST").status_code == 500
    assert told == []


def test_what_save_had_stored_is_told_even_when_the_end_of_the_request_fails(make_app, told):
    app = make_app(REDISESS_MAX_DATA_BYTES=50)

    @app.post("/half")
    def half():
        login("ada")
        current_session.save()
        session["big"] = "x" * 100
        return ""

    client = app.test_client()
    assert client.post("/half").status_code == 500
    assert told == [("session_created", {"sender": app, "session_id": id_of(client), "user_id": "ada"})]
    assert client.get("/me").json["user"] == "ada"


def test_signals_reach_only_those_who_listen_to_that_app(make_app):
    one, two = make_app(), make_app(REDISESS_NAMESPACE="other")
    heard = []

    def hear(sender, **said):
        heard.append(sender)

    with session_created.connected_to(hear, sender=one):
        one.test_client().post("/login/ada")
        two.test_client().post("/login/ada")
    assert heard == [one]


def test_a_listener_may_use_the_session_and_the_request(app, client):
    heard = []

    def hear(sender, session_id, user_id, **_):
        heard.append((current_session.user_id, user_id, manager_of(sender).get(session_id).user_id))

    with session_created.connected_to(hear):
        client.post("/login/ada")
    assert heard == [("ada", "ada", "ada")]


@pytest.mark.parametrize("signal", [session_created, session_killed, session_interrupted])
def test_a_listener_that_fails_fails_the_request_but_undoes_nothing(app, client, signal):
    def hear(sender, **said):
        raise LookupError

    @app.post("/slow")
    def slow():
        kill_current()
        session["late"] = 1
        return ""

    token = manager_of(app).create("ada").token
    deed = {session_created: "/login/bob", session_killed: "/logout", session_interrupted: "/slow"}[signal]
    with signal.connected_to(hear):
        response = visit(app, deed, send_token(token), "POST")
    assert response.status_code == 500
    assert manager_of(app).count_for_user("ada") == 0
    if signal is session_created:
        assert "Set-Cookie" in response.headers


def test_no_signal_carries_a_token(app, client, told):
    client.post("/set/a/b")
    tokens = [token_of(client)]
    for path in ("/login/ada", "/login/bob", "/logout"):
        client.post(path)
        tokens.append(token_of(client))
    said = repr(told)
    assert len(told) == 5
    assert not any(token in said for token in tokens if token)


def test_logout_others_is_told_to_other_processes_by_events_not_by_signals(app, client, told):
    manager_of(app).create("ada")
    app.view_functions["index"] = lambda: str(logout_others())
    client.post("/login/ada")
    told.clear()
    assert client.get("/").text == "1"
    assert told == []
