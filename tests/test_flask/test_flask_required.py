from __future__ import annotations

import inspect

import pytest
from flask import Blueprint, session
from flask.views import MethodView
from site_kit import UNKNOWN_TOKEN, bearer, cookies_set, manager_of, send_token, token_of, visit

import redisess_flask
from redisess_flask import (
    current_session,
    end_session,
    kill_user,
    login,
    logout,
    logout_everywhere,
    logout_others,
    manager,
    session_required,
    sessions,
)


def signed_in(app, user="ada"):
    """A browser in which *user* is signed in."""
    client = app.test_client()
    client.post(f"/login/{user}")
    return client


def session_id(client):
    return client.get("/me").json["id"]


# session_required


@pytest.fixture
def guarded(app):
    """`app` with the views that `session_required` guards in each of its ways."""

    @app.get("/bare")
    @session_required
    def bare():
        """Say the secret."""
        return "secret"

    @app.get("/called")
    @session_required()
    def called():
        return "secret"

    @app.get("/fresh")
    @session_required(fresh=60)
    def fresh():
        return "secret"

    @app.get("/async/<name>")
    @session_required
    async def asynchronous(name):
        return f"secret of {name}"

    @app.get("/async-fresh")
    @session_required(fresh=60)
    async def asynchronous_fresh():
        return "secret"

    class Page(MethodView):
        decorators = [session_required]  # noqa: RUF012  as Flask's documentation writes it

        def get(self):
            return "secret"

    app.add_url_rule("/class", view_func=Page.as_view("page"))
    return app


WAYS = ["/bare", "/called", "/fresh", "/async/ada", "/async-fresh", "/class"]


@pytest.mark.parametrize("path", WAYS)
def test_a_user_gets_in(guarded, path):
    response = signed_in(guarded).get(path)
    assert response.status_code == 200
    assert response.text.startswith("secret")


@pytest.mark.parametrize("path", WAYS)
def test_nobody_gets_401_and_an_anonymous_session_is_nobody(guarded, path):
    assert visit(guarded, path).status_code == 401
    assert visit(guarded, path, send_token(UNKNOWN_TOKEN)).status_code == 401
    client = guarded.test_client()
    client.post("/set/a/b")
    assert client.get(path).status_code == 401


@pytest.mark.parametrize("path", WAYS)
def test_a_session_that_was_ended_does_not_get_in(guarded, path):
    client = signed_in(guarded)
    manager_of(guarded).kill_user("ada")
    assert client.get(path).status_code == 401


def test_a_refusal_costs_no_more_than_the_look_at_the_session(guarded, wire):
    with wire() as seen:
        visit(guarded, "/bare")
    assert seen.names == []


def test_a_guarded_view_keeps_its_name_and_documentation(guarded):
    view = guarded.view_functions["bare"]
    assert (view.__name__, inspect.getdoc(view)) == ("bare", "Say the secret.")


def test_a_guarded_view_takes_its_arguments(guarded):
    assert signed_in(guarded).get("/async/bob").text == "secret of bob"


def test_fresh_asks_for_a_sign_in_of_late(guarded, clock):
    client = signed_in(guarded)
    clock.advance(60)
    assert client.get("/fresh").status_code == 200
    clock.advance(1)
    response = client.get("/fresh")
    assert response.status_code == 401
    assert "again" in response.text
    assert client.get("/bare").status_code == 200
    client.post("/login/ada")
    assert client.get("/fresh").status_code == 200


def test_a_rotation_is_no_fresh_sign_in(guarded, clock):
    @guarded.post("/rotate")
    def rotate():
        current_session.rotate()
        return ""

    client = signed_in(guarded)
    clock.advance(61)
    client.post("/rotate")
    assert client.get("/fresh").status_code == 401


def test_a_sign_in_in_the_same_request_is_fresh(guarded):
    @guarded.post("/enter")
    def enter():
        login("ada")
        return session_required(fresh=0)(lambda: "in")()

    assert guarded.test_client().post("/enter").text == "in"


@pytest.mark.parametrize(("fresh", "error"), [(-1, ValueError), ("60", TypeError), (float("inf"), ValueError)])
def test_a_wrong_time_is_refused_when_the_view_is_decorated(fresh, error):
    with pytest.raises(error, match="fresh"):
        session_required(fresh=fresh)


def test_seconds_without_a_name_are_refused_when_the_view_is_decorated():
    with pytest.raises(TypeError, match="session_required: int given, a view or fresh=seconds wanted"):
        session_required(300)


def test_the_apps_handler_of_401_is_asked(guarded):
    @guarded.errorhandler(401)
    def to_login(error):
        session["next"] = "/bare"
        return "sign in first", 302, {"Location": "/login"}

    client = guarded.test_client()
    assert client.get("/bare").headers["Location"] == "/login"
    assert client.get("/me").json["data"] == {"next": "/bare"}


def test_a_blueprint_guarded_as_a_whole(app):
    inside = Blueprint("inside", "inside")

    @inside.before_request
    @session_required
    def check():
        return None

    @inside.get("/")
    def index():
        return current_session.user_id

    app.register_blueprint(inside, url_prefix="/inside")
    assert visit(app, "/inside/").status_code == 401
    assert signed_in(app).get("/inside/").text == "ada"


# The helpers


def test_every_public_name_is_documented():
    for name in redisess_flask.__all__:
        assert getattr(redisess_flask, name).__doc__


def test_the_helpers_do_what_their_names_say(app):
    found = {}

    @app.post("/all")
    def do_all():
        login("ada")
        found["sessions"] = [listed.user_id for listed in sessions()]
        found["others"] = logout_others()
        found["killed"] = kill_user("bob")
        found["manager"] = manager() is manager_of(app)
        found["ended"] = end_session(current_session.session_id)
        found["again"] = current_session.user_id
        logout()
        return ""

    signed_in(app)
    signed_in(app, "bob")
    app.test_client().post("/all")
    assert found == {
        "sessions": ["ada", "ada"],
        "others": 1,
        "killed": 1,
        "manager": True,
        "ended": True,
        "again": None,
    }


def test_kill_user_may_keep_a_session(app):
    one, two = signed_in(app), signed_in(app)
    kept = session_id(one)
    with app.app_context():
        assert kill_user("ada", keep=kept) == 1
    assert one.get("/me").json["user"] == "ada"
    assert two.get("/me").json["user"] is None


# Ending sessions


@pytest.fixture
def devices(app):
    """`app` with a page of one's devices, which ends them."""

    @app.get("/devices")
    def show():
        return [listed.session_id for listed in sessions()]

    @app.post("/devices/end/<which>")
    def end(which):
        return {"ended": end_session(which)}

    @app.post("/devices/end-others")
    def end_others():
        return {"ended": logout_others()}

    @app.post("/devices/end-all")
    def end_all():
        return {"ended": logout_everywhere(), "user": current_session.user_id}

    return app


def test_ones_own_other_session_is_ended_at_once(devices):
    here, there = signed_in(devices), signed_in(devices)
    assert sorted(here.get("/devices").json) == sorted([session_id(here), session_id(there)])
    response = here.post(f"/devices/end/{session_id(there)}")
    assert response.json == {"ended": True}
    assert not cookies_set(response)
    assert there.get("/me").json["user"] is None
    assert here.get("/devices").json == [session_id(here)]


def test_another_users_session_is_not_ended(devices):
    eve, ada = signed_in(devices, "eve"), signed_in(devices)
    assert eve.post(f"/devices/end/{session_id(ada)}").json == {"ended": False}
    assert ada.get("/me").json["user"] == "ada"


def test_an_anonymous_visitor_ends_nothing(devices):
    ada, nobody = signed_in(devices), devices.test_client()
    nobody.post("/set/a/b")
    for path in (f"end/{session_id(ada)}", "end-others"):
        assert not nobody.post(f"/devices/{path}").json["ended"]
    assert nobody.get("/devices").json == []
    assert ada.get("/me").json["user"] == "ada"


@pytest.mark.parametrize("wrong", ["x", "1aa" + "a" * 26, "saa" + "0" * 25, "..", "%00", "s" * 5000])
def test_an_id_that_names_nothing_is_no_error(devices, wrong):
    assert signed_in(devices).post(f"/devices/end/{wrong}").json == {"ended": False}


def test_a_token_is_not_taken_for_the_id_of_its_session(devices):
    here, there = signed_in(devices), signed_in(devices)
    assert here.post(f"/devices/end/{token_of(there)}").json == {"ended": False}


def test_ending_ones_own_current_session_removes_the_cookie(devices):
    here, there = signed_in(devices), signed_in(devices)
    response = here.post(f"/devices/end/{session_id(here)}")
    assert cookies_set(response)[0].removes
    assert here.get("/me").json["user"] is None
    assert there.get("/me").json["user"] == "ada"


def test_logout_others_ends_all_but_this_one(devices):
    here, there, bob = signed_in(devices), [signed_in(devices) for _ in range(3)], signed_in(devices, "bob")
    assert here.post("/devices/end-others").json == {"ended": 3}
    assert here.get("/me").json["user"] == "ada"
    assert bob.get("/me").json["user"] == "bob"
    assert [client.get("/me").json["user"] for client in there] == [None] * 3


def test_logout_others_after_a_password_change_that_rotates_keeps_the_new_session(devices):
    @devices.post("/password")
    def change():
        login("ada")
        return {"ended": logout_others()}

    here, there = signed_in(devices), signed_in(devices)
    response = here.post("/password")
    assert response.json == {"ended": 1}
    assert len(cookies_set(response)) == 1
    assert here.get("/me").json["user"] == "ada"
    assert there.get("/me").json["user"] is None


def test_logout_everywhere_ends_this_one_too_and_removes_its_cookie(devices):
    here, there = signed_in(devices), signed_in(devices)
    response = here.post("/devices/end-all")
    assert response.json == {"ended": 2, "user": None}
    assert cookies_set(response)[0].removes
    assert there.get("/me").json["user"] is None
    assert manager_of(devices).count() == 0


def test_logout_everywhere_ends_also_the_session_of_this_very_requests_sign_in(devices):
    @devices.post("/in-and-out")
    def in_and_out():
        login("ada")
        return {"ended": logout_everywhere()}

    signed_in(devices)
    client = devices.test_client()
    response = client.post("/in-and-out")
    assert response.json == {"ended": 2}
    assert token_of(client) is None
    assert manager_of(devices).count() == 0


def test_logout_everywhere_of_a_visitor_ends_that_session_alone(devices):
    signed_in(devices)
    nobody = devices.test_client()
    nobody.post("/set/a/b")
    response = nobody.post("/devices/end-all")
    assert response.json == {"ended": 0, "user": None}
    assert cookies_set(response)[0].removes
    assert manager_of(devices).count() == 1


def test_after_logout_everywhere_a_message_can_be_left_in_a_new_session(devices):
    @devices.post("/leave")
    def leave():
        logout_everywhere()
        session["message"] = "bye"
        return ""

    client = signed_in(devices)
    first = token_of(client)
    client.post("/leave")
    assert token_of(client) not in (None, first)
    assert client.get("/me").json == {"user": None, "id": session_id(client), "data": {"message": "bye"}}


def test_a_header_client_ends_its_sessions_without_a_cookie(devices):
    token = manager_of(devices).create("ada").token
    manager_of(devices).create("ada")
    response = visit(devices, "/devices/end-all", bearer(token), "POST")
    assert response.json["ended"] == 2
    assert not cookies_set(response)


# Storing now


def test_save_stores_now_and_the_cookie_goes_out_with_the_response(app):
    @app.post("/save")
    def save():
        session["a"] = 1
        current_session.save()
        stored = manager().get(current_session.session_id)
        session["b"] = 2
        return {"stored": dict(stored.data), "token": current_session.token}

    client = app.test_client()
    response = client.post("/save")
    assert response.json["stored"] == {"a": 1}
    assert response.json["token"] == token_of(client)
    assert len(cookies_set(response)) == 1
    assert client.get("/me").json["data"] == {"a": 1, "b": 2}


def test_save_of_nothing_does_nothing(app, wire):
    app.view_functions["index"] = lambda: current_session.save() or "saved"
    with wire() as seen:
        assert app.test_client().get("/").text == "saved"
    assert seen.names == []


def test_touch_moves_the_last_access_whatever_the_interval(make_app, clock):
    app = make_app(REDISESS_CLOCK=clock, REDISESS_TOUCH_INTERVAL=180)

    @app.post("/touch")
    def touch():
        before = current_session.last_access
        current_session.touch()
        return {"before": before, "after": current_session.last_access}

    client = signed_in(app)
    signed_in_at = clock()
    clock.advance(100)
    assert client.post("/touch").json == {"before": signed_in_at, "after": clock()}


def test_touch_of_nothing_does_nothing(app, wire):
    app.view_functions["index"] = lambda: current_session.touch() or "touched"
    with wire() as seen:
        assert app.test_client().get("/").text == "touched"
    assert seen.names == []
