"""The example `examples/django_app`: run as its README says, and walked through as its table does."""

from __future__ import annotations

import re
from contextlib import ExitStack

import httpx2
import pytest

from redisess_core import SessionManager
from support.example import SECONDS, running

pytestmark = pytest.mark.long

PASSWORDS = {"ada": "engine", "grace": "nanosecond", "admin": "compiler"}


@pytest.fixture(scope="module")
def running_shop(redis_server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("example")
    environment = {"REDISESS_URL": redis_server.url, "SHOP_DATABASE": str(folder / "database")}
    with running("django_app", folder / "output", **environment) as address:
        yield address


@pytest.fixture
def sessions(redis_url):
    with SessionManager(redis_url, namespace="django-shop") as manager:
        yield manager


@pytest.fixture
def visit(running_shop, redis_url):
    """Open browsers, each with cookies of its own: `visit("ada")` signs in by the form."""
    with ExitStack() as ends:

        def visit(name=None):
            browser = ends.enter_context(httpx2.Client(base_url=running_shop, timeout=SECONDS, follow_redirects=True))
            if name is not None:
                sign_in(browser, name)
            return browser

        yield visit


def send(browser, page, action, **form):
    """Send a form of *page*."""
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', browser.get(page).text)
    assert token
    return browser.post(action, data={"csrfmiddlewaretoken": token[1], **form})


def sign_in(browser, name):
    answer = send(browser, "/sign-in/", "/sign-in/", username=name, password=PASSWORDS[name])
    assert str(answer.url).endswith("/account/sessions/")


def test_it_runs_as_its_readme_says_without_a_redis(tmp_path):
    with running("django_app", tmp_path / "output", SHOP_DATABASE=str(tmp_path / "database")) as address:
        answer = httpx2.get(address, timeout=SECONDS)
        assert "In your cart: nothing." in answer.text


def test_a_visitor_costs_nothing(visit, redis_client):
    answer = visit().get("/")
    assert answer.status_code == 200
    assert "sessionid" not in answer.cookies
    assert redis_client.keys("{django-shop:0}:*") == []


def test_the_cart_outlives_the_sign_in(visit, sessions):
    browser = visit()
    assert "In your cart: apple." in send(browser, "/", "/cart/", thing="apple").text
    assert "In your cart: apple, cheese." in send(browser, "/", "/cart/", thing="cheese").text
    before = browser.cookies["sessionid"]
    sign_in(browser, "ada")
    assert browser.cookies["sessionid"] != before
    assert "In your cart: apple, cheese." in browser.get("/").text
    assert sessions.count() == 1


def test_only_what_the_shop_has_goes_into_the_cart(visit, sessions):
    assert send(visit(), "/", "/cart/", thing="a car").status_code == 400
    assert sessions.count() == 0


def test_two_devices_see_each_other_in_the_shops_own_frame(visit):
    laptop, phone = visit("ada"), visit("ada")
    page = laptop.get("/account/sessions/").text
    ids = re.findall(r'name="session_id" value="(\w+)"', page)
    assert len(ids) == 2
    assert "<nav>" in page
    assert laptop.get("/static/redisess/sessions.css").status_code == 200
    send(laptop, "/account/sessions/", "/account/sessions/end/", session_id=ids[1])
    assert "/sign-in/" in str(phone.get("/account/sessions/").url)


def test_a_new_password_ends_the_other_devices(visit):
    laptop, phone = visit("grace"), visit("grace")
    change = {"old_password": "nanosecond", "new_password1": "microsecond", "new_password2": "microsecond"}
    answer = send(laptop, "/account/password/", "/account/password/", **change)
    assert "You are signed in nowhere else." in answer.text
    assert "/sign-in/" in str(phone.get("/account/sessions/").url)
    back = {"old_password": "microsecond", "new_password1": "nanosecond", "new_password2": "nanosecond"}
    send(laptop, "/account/password/", "/account/password/", **back)


def test_the_sixth_device_ends_the_one_unused_for_longest(visit, sessions):
    first, *_rest = [visit("ada") for _ in range(6)]
    assert sessions.count() == 5
    assert "/sign-in/" in str(first.get("/account/sessions/").url)


def test_the_admin_is_for_the_admin(visit):
    assert "Site administration" in visit("admin").get("/admin/").text
    assert "Site administration" not in visit("ada").get("/admin/").text


def test_who_signs_out_is_out(visit, sessions):
    browser = visit("ada")
    send(browser, "/", "/sign-out/")
    assert sessions.count() == 0
