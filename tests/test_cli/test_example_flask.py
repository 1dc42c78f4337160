"""The example `examples/flask_app`: run as its README says, and walked through as its table does."""

from __future__ import annotations

import importlib.util
import re
import sys
from urllib.request import urlopen

import pytest

from support.example import EXAMPLES, running

FOLDER = EXAMPLES / "flask_app"


@pytest.fixture(scope="module")
def program(redis_server):
    """The example, loaded once: to hash passwords takes its time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REDISESS_URL", redis_server.url)
        spec = importlib.util.spec_from_file_location("example_flask_app", FOLDER / "app.py")
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, spec.name, module)  # where Flask looks for the templates' folder
        spec.loader.exec_module(module)
        with module.app.extensions["redisess"].manager:
            yield module


@pytest.fixture
def app(program, redis_url, monkeypatch):
    monkeypatch.setattr(program, "PASSWORDS", dict(program.PASSWORDS))
    return program.app


@pytest.fixture
def sessions(app):
    return app.extensions["redisess"].manager


def signed_in(app, name="ada", password="engine"):
    client = app.test_client()
    answer = client.post("/sign-in", data={"name": name, "password": password})
    assert (answer.status_code, answer.location) == (303, "/account")
    return client


def others_on(answer):
    return re.findall(r'name="session_id" value="(\w+)"', answer.text)


def test_it_runs_as_its_readme_says(tmp_path):
    with running("flask_app", tmp_path / "output") as address, urlopen(address, timeout=30) as answer:
        assert "In your cart: nothing." in answer.read().decode()


def test_a_visitor_costs_nothing(app, redis_client):
    answer = app.test_client().get("/")
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers
    assert redis_client.keys() == []


def test_the_cart_outlives_the_sign_in_and_ends_with_the_sign_out(app, sessions):
    client = app.test_client()
    for thing in ("apple", "cheese"):
        assert client.post("/cart", data={"thing": thing}).status_code == 303
    before = client.get_cookie("session").value
    client.post("/sign-in", data={"name": "ada", "password": "engine"})
    assert client.get_cookie("session").value != before
    assert "In your cart: apple, cheese." in client.get("/").text
    client.post("/sign-out")
    assert "In your cart: nothing." in client.get("/").text
    assert sessions.count() == 0


@pytest.mark.parametrize(("name", "password"), [("ada", "wrong"), ("nobody", "engine"), ("", "")])
def test_a_wrong_password_signs_nobody_in(app, sessions, name, password):
    answer = app.test_client().post("/sign-in", data={"name": name, "password": password})
    assert answer.status_code == 401
    assert "No such name with this password." in answer.text
    assert sessions.count() == 0


def test_the_account_asks_to_sign_in_and_shows_the_form(app):
    answer = app.test_client().get("/account")
    assert answer.status_code == 401
    assert "Sign in to see this." in answer.text
    assert 'name="password"' in answer.text


def test_a_device_is_ended_from_another(app):
    laptop, phone = signed_in(app), signed_in(app)
    (other,) = others_on(laptop.get("/account"))
    laptop.post("/end", data={"session_id": other})
    assert phone.get("/account").status_code == 401
    assert others_on(laptop.get("/account")) == []
    assert laptop.post("/end").status_code == 303


def test_a_device_of_somebody_else_is_not(app, sessions):
    laptop, other = signed_in(app), signed_in(app, "grace", "nanosecond")
    laptop.post("/end", data={"session_id": sessions.get_user_sessions("grace")[0]})
    assert other.get("/account").status_code == 200


def test_a_new_password_ends_the_other_devices(app):
    laptop, phone = signed_in(app), signed_in(app)
    assert "at least 8" in laptop.post("/password", data={"password": "short"}, follow_redirects=True).text
    answer = laptop.post("/password", data={"password": "difference"}, follow_redirects=True)
    assert "Other sessions ended: 1." in answer.text
    assert phone.get("/account").status_code == 401
    assert signed_in(app, "ada", "difference").get("/account").status_code == 200


def test_after_five_minutes_a_new_password_wants_the_old_one_again(app, sessions, clock, monkeypatch):
    monkeypatch.setattr(type(sessions), "clock_argument", lambda _: clock())
    laptop = signed_in(app)
    clock.advance(301)
    answer = laptop.post("/password", data={"password": "difference"})
    assert answer.status_code == 401
    assert "Sign in again to do this." in answer.text


def test_the_sixth_device_ends_the_one_unused_for_longest(app, sessions):
    first, *_rest = [signed_in(app) for _ in range(6)]
    assert sessions.count_for_user("ada") == 5
    assert first.get("/account").status_code == 401


def test_only_what_the_shop_has_goes_into_the_cart(app, sessions):
    assert app.test_client().post("/cart", data={"thing": "a car"}).status_code == 400
    assert sessions.count() == 0


def test_the_sessions_can_be_looked_at_from_a_terminal(app):
    signed_in(app)
    done = app.test_cli_runner().invoke(args=["sessions", "count"])
    assert done.output == "1 session, 1 user\n"
