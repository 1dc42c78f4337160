from __future__ import annotations

import pytest
from flask import flash, get_flashed_messages, session
from site_kit import UNKNOWN_TOKEN, cookies_set, manager_of, send_token, token_of, visit

from redisess_core.tokens import session_id_of
from redisess_flask import current_session, login, logout


@pytest.fixture(params=[1, 4])
def sharded(request, make_app, clock):
    """An app on one shard, and one whose sign-ins change the shard."""
    return make_app(REDISESS_SHARDS=request.param, REDISESS_CLOCK=clock)


# Signing in


def test_a_sign_in_makes_the_session_the_users_at_once_and_in_the_next_request(app, client):
    seen = {}

    @app.post("/enter")
    def enter():
        login("ada")
        seen.update(id=current_session.session_id, token=current_session.token, user=current_session.user_id)
        return ""

    client.post("/enter")
    assert seen["user"] == "ada"
    assert seen["token"] == token_of(client)
    assert seen["id"] == session_id_of(seen["token"]) == client.get("/me").json["id"]
    assert client.get("/me").json["user"] == "ada"


def test_a_sign_in_gives_a_new_token_and_the_old_one_is_dead_at_once(sharded):
    client = sharded.test_client()
    client.post("/set/a/b")
    planted = token_of(client)
    client.post("/login/ada")
    assert token_of(client) != planted
    assert visit(sharded, "/me", send_token(planted)).json == {"user": None, "id": None, "data": {}}
    assert manager_of(sharded).count() == 1


def test_a_second_sign_in_of_the_same_user_gives_a_new_token_too(client, sessions, clock):
    client.post("/login/ada")
    client.post("/set/a/b")
    first = token_of(client)
    clock.advance(60)
    client.post("/login/ada")
    assert token_of(client) != first
    assert sessions.authenticate(first) is None
    assert client.get("/me").json["data"] == {"a": "b"}
    (listed,) = sessions.list_user_sessions("ada")
    assert listed.authenticated_at == clock()


def test_a_token_that_the_client_chose_is_never_adopted(app, sessions):
    response = visit(app, "/login/ada", send_token(UNKNOWN_TOKEN), "POST")
    (cookie,) = cookies_set(response)
    assert cookie.value != UNKNOWN_TOKEN
    assert sessions.authenticate(UNKNOWN_TOKEN) is None


def test_what_an_anonymous_session_held_is_kept(sharded):
    client = sharded.test_client()
    client.post("/set/cart/tea")
    client.post("/login/ada")
    assert client.get("/me").json["data"] == {"cart": "tea"}


def test_what_the_request_wrote_before_and_after_its_sign_in_is_kept(app, client):
    @app.post("/enter")
    def enter():
        session["before"] = 1
        login("ada")
        session["after"] = 2
        return ""

    client.post("/enter")
    assert client.get("/me").json["data"] == {"before": 1, "after": 2}


def test_what_another_users_session_held_is_dropped(sharded):
    client = sharded.test_client()
    client.post("/login/ada")
    client.post("/set/cart/tea")
    adas = token_of(client)
    client.post("/login/bob")
    me = client.get("/me").json
    assert (me["user"], me["data"]) == ("bob", {})
    assert manager_of(sharded).authenticate(adas) is None
    assert manager_of(sharded).get_all_users() == ["bob"]


def test_two_sign_ins_in_one_request_leave_the_last_user_without_the_firsts_data(app, client, sessions):
    @app.post("/confuse")
    def confuse():
        session["cart"] = "tea"
        login("ada")
        session["secret"] = "ada's"
        login("bob")
        return dict(session)

    assert client.post("/confuse").json == {}
    assert client.get("/me").json["user"] == "bob"
    assert client.get("/me").json["data"] == {}
    assert sessions.get_all_users() == ["bob"]


@pytest.mark.parametrize(("user_id", "text"), [(7, "7"), (0, "0"), ("käthe", "käthe")])
def test_a_user_id_is_taken_by_its_text(app, client, user_id, text):
    app.view_functions["sign_in"] = lambda user: login(user_id) or ""
    client.post("/login/x")
    assert client.get("/me").json["user"] == text


def test_a_sign_in_may_have_an_idle_timeout_of_its_own(app, client, clock):
    app.view_functions["sign_in"] = lambda user: login(user, ttl=60) or ""
    client.post("/login/ada")
    clock.advance(59)
    assert client.get("/me").json["user"] == "ada"
    clock.advance(60)
    assert client.get("/me").json["user"] is None


def test_rotate_gives_a_new_token_and_keeps_user_data_and_the_time_of_the_sign_in(app, client, sessions, clock):
    @app.post("/rotate")
    def rotate():
        current_session.rotate()
        return {"id": current_session.session_id}

    assert client.post("/rotate").json["id"] is None
    assert token_of(client) is None
    client.post("/login/ada")
    client.post("/set/a/b")
    first, signed_in = token_of(client), clock()
    clock.advance(60)
    announced = client.post("/rotate").json["id"]
    assert token_of(client) != first
    assert sessions.authenticate(first) is None
    me = client.get("/me").json
    assert me == {"user": "ada", "id": announced, "data": {"a": "b"}}
    assert sessions.get(announced).authenticated_at == signed_in


# Signing out


def test_a_sign_out_kills_the_session_and_removes_its_cookie(client, sessions):
    client.post("/login/ada")
    token = token_of(client)
    (cookie,) = cookies_set(client.post("/logout"))
    assert cookie.removes
    assert token_of(client) is None
    assert sessions.authenticate(token) is None
    assert sessions.count() == 0


def test_after_a_sign_out_the_rest_of_the_request_sees_an_empty_session_of_nobody(app, client):
    @app.post("/leave")
    def leave():
        logout()
        return {"user": current_session.user_id, "id": current_session.session_id, "data": dict(session)}

    client.post("/login/ada")
    client.post("/set/a/b")
    assert client.post("/leave").json == {"user": None, "id": None, "data": {}}


def test_a_sign_out_of_nobody_does_nothing(client, sessions, wire):
    with wire() as seen:
        response = client.post("/logout")
    assert seen.names == []
    assert not cookies_set(response)


def test_clear_signs_out(app, client, sessions):
    app.view_functions["sign_out"] = lambda: session.clear() or "bye"
    client.post("/login/ada")
    token = token_of(client)
    assert cookies_set(client.post("/logout"))[0].removes
    assert sessions.authenticate(token) is None


def test_what_is_flashed_after_clear_is_shown_to_nobody_in_particular(app, client, sessions):
    @app.post("/leave")
    def leave():
        session.clear()
        flash("You are signed out")
        return ""

    @app.get("/messages")
    def messages():
        return {"user": current_session.user_id, "messages": get_flashed_messages()}

    client.post("/login/ada")
    client.post("/set/secret/adas")
    first = token_of(client)
    client.post("/leave")
    assert token_of(client) not in (first, None)
    assert sessions.authenticate(first) is None
    assert sessions.count_users() == 0
    assert client.get("/messages").json == {"user": None, "messages": ["You are signed out"]}
    assert sessions.count() == 0


def test_clear_and_then_a_user_in_the_data_as_many_tutorials_do_is_a_fresh_session(app, client, sessions):
    @app.post("/enter")
    def enter():
        session.clear()
        session["user_id"] = 5
        return ""

    client.post("/set/cart/tea")
    first = token_of(client)
    client.post("/enter")
    assert token_of(client) != first
    assert sessions.authenticate(first) is None
    assert client.get("/me").json["data"] == {"user_id": 5}


def test_clear_and_then_a_sign_in_drops_even_an_anonymous_cart(app, client, sessions):
    @app.post("/enter")
    def enter():
        session.clear()
        login("ada")
        return ""

    client.post("/set/cart/tea")
    client.post("/enter")
    me = client.get("/me").json
    assert (me["user"], me["data"]) == ("ada", {})
    assert sessions.count() == 1


def test_a_sign_in_and_then_a_sign_out_in_one_request_is_a_sign_out(app, client, sessions):
    @app.post("/change-of-mind")
    def change_of_mind():
        login("ada")
        logout()
        return ""

    assert not cookies_set(client.post("/change-of-mind"))
    assert sessions.count() == 0
    client.post("/set/a/b")
    assert cookies_set(client.post("/change-of-mind"))[0].removes
    assert sessions.count() == 0


class ViewError(Exception):
    """What a view of these tests raises."""


def fail():
    raise ViewError


@pytest.mark.parametrize("testing", [False, True])
@pytest.mark.parametrize("where", ["view", "after_request", "both"])
def test_a_sign_out_holds_even_when_the_request_then_raises(make_app, testing, where):
    app = make_app(TESTING=testing)

    @app.post("/leave")
    def leave():
        session["lost"] = 1
        logout()
        if where != "after_request":
            fail()
        return ""

    @app.after_request
    def after(response):
        if where != "view" and session.new:
            fail()
        return response

    client = app.test_client()
    token = manager_of(app).create("ada", data={"a": 1}).token
    client.set_cookie("session", token)
    if testing:
        with pytest.raises(ViewError):
            client.post("/leave")
    else:
        assert client.post("/leave").status_code == 500
    assert manager_of(app).authenticate(token) is None
    assert manager_of(app).count() == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_sign_out_holds_even_when_the_worker_is_told_to_stop(app, client, sessions, error):
    @app.post("/leave")
    def leave():
        logout()
        raise error

    client.post("/login/ada")
    with pytest.raises(error):
        client.post("/leave")
    assert sessions.count() == 0


@pytest.mark.parametrize("action", ["login", "write", "rotate"])
def test_nothing_but_a_sign_out_is_carried_out_when_an_exception_is_passed_on(app, client, sessions, action):
    app.testing = True

    def rotate():
        session.rotate()

    actions = {"login": lambda: login("eve"), "write": lambda: session.update(x=1), "rotate": rotate}

    @app.post("/fail")
    def view():
        actions[action]()
        fail()

    client.post("/set/a/b")
    token = token_of(client)
    with pytest.raises(ViewError):
        client.post("/fail")
    assert sessions.authenticate(token).data == {"a": "b"}
    assert sessions.count() == 1


def test_a_sign_out_and_then_a_sign_in_that_raise_leave_nobody_signed_in(app, client, sessions):
    app.testing = True

    @app.post("/fail")
    def view():
        logout()
        login("eve")
        fail()

    client.post("/login/ada")
    with pytest.raises(ViewError):
        client.post("/fail")
    assert sessions.count() == 0


def test_a_failed_sign_out_sends_its_signal(app, client, told):
    app.testing = True

    @app.post("/leave")
    def leave():
        logout()
        fail()

    client.post("/login/ada")
    told.clear()
    with pytest.raises(ViewError):
        client.post("/leave")
    assert [name for name, _ in told] == ["session_killed"]


def test_a_sign_out_that_cannot_be_carried_out_any_more_is_logged_and_hides_no_error(make_app, start_server, caplog):
    server = start_server()
    app = make_app(REDISESS_URL=server.url, TESTING=True)

    @app.post("/leave")
    def leave():
        logout()
        server.stop()
        fail()

    client = app.test_client()
    client.post("/login/ada")
    with pytest.raises(ViewError):
        client.post("/leave")
    assert "a sign-out could not be carried out" in caplog.text
    assert token_of(client) not in caplog.text
