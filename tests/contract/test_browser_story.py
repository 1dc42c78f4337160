"""One story of users and their browsers, told over every framework that has an adapter."""

from __future__ import annotations

from importlib import import_module

import pytest

SITES = ["flask", "starlette", "django"]


@pytest.fixture(params=SITES)
def open_site(request):
    return import_module(f"{request.param}_browsing").open_site


@pytest.fixture
def site(open_site, redis_url, namespace, clock):
    with open_site(redis_url, namespace=namespace, clock=clock) as opened:
        yield opened


def user_of(browser):
    return browser.me().body["user"]


def id_of(browser):
    return browser.me().body["id"]


def test_the_story_of_two_devices(site, clock):
    laptop, phone, stranger = site.browser("Firefox"), site.browser("Safari"), site.browser()

    # Nobody is anybody yet, and nothing is stored for nobody.
    for browser in (laptop, phone, stranger):
        answer = browser.me()
        assert (answer.body, answer.sets_cookie) == ({"user": None, "id": None, "data": {}}, False)
    assert site.manager.count() == 0
    assert laptop.devices().status == 401

    # A cart, then a sign-in that keeps it under another token.
    assert laptop.put("cart", "tea").sets_cookie
    planted = laptop.token
    assert laptop.sign_in("ada").sets_cookie
    assert laptop.token != planted
    assert laptop.me().body["data"] == {"cart": "tea"}

    # The other device has a session of its own; both are listed, the most recent first.
    clock.advance(10)
    phone.sign_in("ada")
    assert phone.me().body["data"] == {}
    listed = phone.devices().body
    ids = [id_of(phone), id_of(laptop)]
    assert listed == [{"id": ids[0], "browser": "Safari"}, {"id": ids[1], "browser": "Firefox"}]
    clock.advance(10)
    assert user_of(laptop) == "ada"
    assert site.manager.get_user_sessions("ada") == [ids[1], ids[0]]

    # A stranger ends neither; the owner ends the other, which notices at its next click.
    stranger.sign_in("eve")
    assert stranger.end(id_of(phone)).body == {"ended": False}
    answer = laptop.end(id_of(phone))
    assert (answer.body, answer.sets_cookie) == ({"ended": True}, False)
    assert user_of(phone) is None
    assert phone.devices().status == 401
    assert user_of(laptop) == "ada"

    # An administrator ends one, by its handle.
    assert site.manager.kill(id_of(stranger))
    assert user_of(stranger) is None

    # A sign-out takes the cookie along, and the token is of no use any more.
    phone.sign_in("ada")
    token = phone.token
    assert phone.sign_out().sets_cookie
    assert phone.token is None
    assert site.manager.authenticate(token) is None

    # Who is idle too long is signed out; who clicks is not.
    for _ in range(3):
        clock.advance(1799)
        assert user_of(laptop) == "ada"
    clock.advance(1800)
    answer = laptop.me()
    assert (answer.body["user"], answer.sets_cookie) == (None, False)
    assert site.manager.count() == 0
    assert site.manager.get_all_users() == []

    # An expired token is never taken up again: what is written begins a session of another.
    expired = laptop.token
    laptop.put("cart", "milk")
    assert laptop.token != expired
    assert laptop.me().body["data"] == {"cart": "milk"}


def test_all_other_devices_and_then_all(site):
    here, there, elsewhere, bob = (site.browser() for _ in range(4))
    for browser in (here, there, elsewhere):
        browser.sign_in("ada")
    bob.sign_in("bob")
    assert here.end_others().body == {"ended": 2}
    assert [user_of(browser) for browser in (here, there, elsewhere, bob)] == ["ada", None, None, "bob"]
    there.sign_in("ada")
    answer = here.end_all()
    assert (answer.body, answer.sets_cookie) == ({"ended": 2}, True)
    assert [user_of(browser) for browser in (here, there, bob)] == [None, None, "bob"]
    assert here.token is None


def test_another_user_in_the_same_browser(site):
    browser = site.browser()
    browser.sign_in("ada")
    browser.put("secret", "ada's")
    token = browser.token
    browser.sign_in("bob")
    me = browser.me().body
    assert (me["user"], me["data"]) == ("bob", {})
    assert site.manager.authenticate(token) is None
    assert site.manager.get_all_users() == ["bob"]


def test_a_client_that_sends_its_token_by_header_gets_no_cookie(site):
    client = site.header_client("ada")
    answers = [client.me(), client.put("a", "b"), client.devices(), client.sign_in("ada")]
    assert not any(answer.sets_cookie for answer in answers)
    assert user_of(client) is None  # its token was replaced by the last one's
    other = site.header_client("ada")
    assert user_of(other) == "ada"
    assert not other.sign_out().sets_cookie
    assert user_of(other) is None


def test_what_asks_for_a_fresh_sign_in(site, clock):
    browser = site.browser()
    assert browser.secret().status == 401
    browser.sign_in("ada")
    clock.advance(60)
    assert browser.secret().status == 200
    clock.advance(1)
    assert browser.secret().status == 401
    browser.sign_in("ada")
    assert browser.secret().status == 200


def test_a_limit_ends_the_device_of_longest_ago_or_refuses_the_new_one(open_site, redis_url, clock):
    limits = {"url": redis_url, "clock": clock, "max_sessions_per_user": 2}
    with open_site(namespace="evict", **limits) as site:
        browsers = [site.browser() for _ in range(3)]
        for browser in browsers:
            clock.advance(1)
            browser.sign_in("ada")
        assert [user_of(browser) for browser in browsers] == [None, "ada", "ada"]
    with open_site(namespace="refuse", on_limit="refuse", **limits) as site:
        browsers = [site.browser() for _ in range(3)]
        answers = [browser.sign_in("ada") for browser in browsers]
        assert [(answer.status, answer.sets_cookie) for answer in answers] == [(200, True), (200, True), (403, False)]
        assert [user_of(browser) for browser in browsers] == ["ada", "ada", None]


def test_redis_away_signs_nobody_out(open_site, start_server):
    server = start_server()
    with open_site(server.url) as site:
        browser, stranger = site.browser(), site.browser()
        browser.sign_in("ada")
        token = browser.token
        server.pause()
        answer = browser.me()
        assert (answer.status, answer.sets_cookie) == (503, False)
        assert stranger.me().status == 200
        server.resume()
        assert browser.token == token
        assert user_of(browser) == "ada"
