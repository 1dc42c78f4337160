from __future__ import annotations

from types import SimpleNamespace

import pytest
from flask import flash, session
from flask_login import (
    LoginManager,
    UserMixin,
    confirm_login,
    current_user,
    fresh_login_required,
    login_required,
    login_user,
    logout_user,
)
from site_kit import cookies_set, manager_of, token_of, visit

from redisess_core import StoreUnavailable
from redisess_flask import current_session, session_required

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # Flask-Login's own


class User(UserMixin):
    def __init__(self, user_id):
        self.id = user_id


@pytest.fixture
def with_login(make_app, clock):
    """Make an app with Flask-Login and its usual pages: `with_login(SESSION_PROTECTION="strong")`."""

    def make(before=None, **config):
        app = make_app(before, SECRET_KEY="for the remember cookie", REDISESS_CLOCK=clock, **config)
        login_manager = LoginManager(app)
        login_manager.user_loader(lambda user_id: User(user_id) if user_id != "deleted" else None)

        @app.post("/enter/<user_id>")
        def enter(user_id):
            login_user(User(user_id), remember=session.get("remember", False))
            return ""

        @app.post("/enter-remembered/<user_id>")
        def enter_remembered(user_id):
            login_user(User(user_id), remember=True)
            return ""

        @app.post("/leave")
        def leave():
            logout_user()
            return ""

        @app.post("/confirm")
        def confirm():
            confirm_login()
            return ""

        @app.get("/who")
        def who():
            theirs = current_user.get_id() if current_user.is_authenticated else None
            return {"flask-login": theirs, "redisess": current_session.user_id}

        @app.get("/members")
        @login_required
        def members():
            return "members"

        @app.get("/required")
        @session_required
        def required():
            return "required"

        @app.get("/fresh")
        @fresh_login_required
        def fresh():
            return "fresh"

        @app.get("/fresh-too")
        @session_required(fresh=60)
        def fresh_too():
            return "fresh"

        return app

    return make


@pytest.fixture
def site(with_login):
    app = with_login()
    return SimpleNamespace(app=app, client=app.test_client(), sessions=manager_of(app))


def both(user_id):
    return {"flask-login": user_id, "redisess": user_id}


def test_login_user_binds_the_session_to_the_user(site):
    site.client.post("/enter/ada")
    assert site.client.get("/who").json == both("ada")
    assert site.sessions.get_all_users() == ["ada"]
    assert site.client.get("/members").text == "members"
    assert site.client.get("/required").text == "required"


def test_login_user_gives_a_new_token_and_keeps_the_cart(site):
    site.client.post("/set/cart/tea")
    before = token_of(site.client)
    site.client.post("/enter/ada")
    assert token_of(site.client) != before
    assert site.sessions.authenticate(before) is None
    assert site.client.get("/me").json["data"]["cart"] == "tea"


def test_logout_user_ends_the_session_and_removes_its_cookie(site):
    site.client.post("/enter/ada")
    token = token_of(site.client)
    (cookie,) = cookies_set(site.client.post("/leave"))
    assert cookie.removes
    assert site.sessions.authenticate(token) is None
    assert site.sessions.count() == 0
    assert site.client.get("/who").json == both(None)


def test_another_user_in_the_same_browser_gets_nothing_of_the_first(site):
    site.client.post("/enter/ada")
    site.client.post("/set/cart/tea")
    site.client.post("/enter/bob")
    assert site.client.get("/who").json == both("bob")
    assert "cart" not in site.client.get("/me").json["data"]
    assert site.sessions.get_all_users() == ["bob"]


def test_a_killed_session_is_signed_out_for_flask_login_too(site):
    site.client.post("/enter/ada")
    site.sessions.kill_user("ada")
    assert site.client.get("/who").json == both(None)
    assert site.client.get("/members").status_code == 401


def test_a_read_with_flask_login_costs_one_command(site, wire):
    site.client.post("/enter/ada")
    site.client.get("/members")
    with wire() as seen:
        site.client.get("/members")
    assert seen.names == ["EVALSHA"]


def test_signing_in_and_out_with_flask_login_costs_two_commands_at_most(site, wire):
    for _ in range(2):
        with wire() as seen:
            site.client.post("/enter/ada")
        assert len(seen) <= 3
        with wire() as seen:
            site.client.post("/leave")
    assert len(seen) == 2


def test_a_visitor_without_a_session_costs_flask_login_nothing(site, wire):
    with wire() as seen:
        assert visit(site.app, "/who").json == both(None)
        assert visit(site.app, "/members").status_code == 401
    assert seen.names == []
    assert site.sessions.count() == 0


def test_an_inactive_user_is_not_signed_in(site):
    class Inactive(User):
        is_active = False

    site.app.view_functions["enter"] = lambda user_id: str(login_user(Inactive(user_id)))
    assert site.client.post("/enter/ada").text == "False"
    assert site.sessions.count() == 0


def test_the_remember_cookie_signs_in_again_with_a_session_of_its_own(site):
    site.client.post("/enter-remembered/ada")
    assert site.client.get_cookie("remember_token")
    site.sessions.kill_all()
    assert site.client.get("/who").json == both("ada")
    assert site.sessions.get_all_users() == ["ada"]
    token = token_of(site.client)
    assert site.client.get("/who").json == both("ada")
    assert token_of(site.client) == token


def test_session_required_takes_the_remember_cookie_for_a_sign_in_as_login_required_does(site):
    site.client.post("/enter-remembered/ada")
    site.sessions.kill_all()
    assert site.client.get("/fresh-too").status_code == 401  # signed in, though not by a password
    site.sessions.kill_all()
    response = site.client.get("/required")
    assert (response.status_code, response.text) == (200, "required")
    assert site.sessions.get_all_users() == ["ada"]
    assert site.client.get("/who").json == both("ada")


def test_session_required_refuses_who_has_no_session_and_no_valid_remember_cookie(site, wire):
    site.client.post("/enter-remembered/deleted")
    site.sessions.kill_all()
    assert site.client.get("/required").status_code == 401
    with wire() as seen:
        assert visit(site.app, "/required").status_code == 401
        assert visit(site.app, "/required", {"Cookie": "remember_token=ada|forged"}).status_code == 401
    assert seen.names == []
    assert site.sessions.count_users() == 0


def test_session_required_does_not_ask_a_login_manager_that_is_not_flask_logins(app, client):
    app.login_manager = "of another kind"
    app.view_functions["index"] = session_required(lambda: "in")
    assert client.get("/").status_code == 401
    client.post("/login/ada")
    assert client.get("/").text == "in"


def test_logout_user_ends_the_remember_cookie_as_well(site):
    site.client.post("/enter-remembered/ada")
    site.client.post("/leave")
    assert site.client.get_cookie("remember_token") is None
    assert token_of(site.client) is None
    assert site.sessions.count() == 0
    assert site.client.get("/who").json == both(None)


def test_a_remember_cookie_of_a_user_who_is_gone_signs_nobody_in(site):
    site.client.post("/enter-remembered/deleted")
    site.sessions.kill_all()
    assert site.client.get("/who").json == both(None)
    assert site.sessions.count_users() == 0


def test_who_was_remembered_is_not_fresh_until_confirmed(site, clock):
    site.client.post("/enter-remembered/ada")
    assert site.client.get("/fresh").text == site.client.get("/fresh-too").text == "fresh"
    site.sessions.kill_all()
    site.client.get("/who")
    assert site.client.get("/required").text == "required"
    assert site.client.get("/fresh").status_code == 401
    assert site.client.get("/fresh-too").status_code == 401
    before = token_of(site.client)
    site.client.post("/confirm")
    assert token_of(site.client) != before
    assert site.client.get("/fresh").text == site.client.get("/fresh-too").text == "fresh"


def test_confirm_login_starts_the_time_of_the_sign_in_anew(site, clock):
    site.client.post("/enter/ada")
    clock.advance(61)
    assert site.client.get("/fresh-too").status_code == 401
    site.client.post("/confirm")
    assert site.client.get("/fresh-too").text == "fresh"
    (listed,) = site.sessions.list_user_sessions("ada")
    assert listed.authenticated_at == clock()


def test_confirm_login_of_nobody_signs_nobody_in(site):
    assert site.client.post("/confirm").status_code == 200
    assert site.sessions.count_users() == 0


def test_strong_protection_ends_the_session_of_a_client_that_changed(with_login):
    app = with_login(SESSION_PROTECTION="strong")
    client, sessions = app.test_client(), manager_of(app)
    client.post("/enter/ada")
    other = {"User-Agent": "another browser"}
    assert client.get("/who", headers=other).json == both(None)
    assert sessions.count_users() == 0
    assert client.get("/required").status_code == 401


def test_basic_protection_keeps_the_user_who_is_no_longer_fresh(with_login):
    client = with_login().test_client()
    client.post("/enter/ada")
    other = {"User-Agent": "another browser"}
    assert client.get("/who", headers=other).json == both("ada")
    assert client.get("/required", headers=other).text == "required"
    assert client.get("/fresh-too", headers=other).status_code == 401


def test_a_visitors_last_message_leaves_no_session_behind(with_login):
    app = with_login()

    @app.post("/say")
    def say():
        flash("hello")
        return ""

    @app.get("/show")
    def show():
        from flask import get_flashed_messages

        return {"user": current_user.is_authenticated, "messages": get_flashed_messages()}

    client = app.test_client()
    client.post("/say")
    client.get("/who")
    assert client.get("/show").json == {"user": False, "messages": ["hello"]}
    assert manager_of(app).count() == 0
    assert token_of(client) is None


def test_redis_away_is_503_with_flask_login_too(with_login, start_server):
    server = start_server()
    app = with_login(REDISESS_URL=server.url)
    client = app.test_client()
    client.post("/enter-remembered/ada")
    token = token_of(client)
    server.stop()
    response = client.get("/members")
    assert response.status_code == 503
    assert "Retry-After" in response.headers
    assert token_of(client) == token


def test_an_error_page_that_shows_the_user_is_shown_while_redis_is_away(with_login, start_server):
    server = start_server()
    app = with_login(
        lambda app: app.register_error_handler(
            StoreUnavailable, lambda error: (str(current_user.is_authenticated), 503)
        ),
        REDISESS_URL=server.url,
        REMEMBER_COOKIE_REFRESH_EACH_REQUEST=True,
    )
    client = app.test_client()
    client.post("/enter/ada")
    token = token_of(client)
    server.stop()
    response = client.get("/members")
    assert (response.status_code, response.text) == (503, "True")  # from the remember cookie
    assert "session" not in {cookie.name for cookie in cookies_set(response)}
    server.start()
    assert token_of(client) == token


def test_apps_without_redisess_in_the_same_process_keep_flasks_session(with_login, bare_app):
    with_login()
    plain = bare_app(SECRET_KEY="x")
    LoginManager(plain).user_loader(User)

    @plain.post("/enter")
    def enter():
        return str(login_user(User("ada")))

    @plain.post("/leave")
    def leave():
        return str(logout_user())

    @plain.get("/who")
    def who():
        return str(current_user.get_id())

    client = plain.test_client()
    assert client.post("/enter").text == "True"
    assert client.get("/who").text == "ada"
    assert client.post("/leave").text == "True"
    assert client.get("/who").text == "None"
