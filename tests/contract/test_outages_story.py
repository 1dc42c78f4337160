"""Requests while Redis is killed, paused, loading, full or evicting, over every framework: nobody is logged out."""

from __future__ import annotations

from importlib import import_module

import pytest

from support.faults import EVICTING, FAULTS, KEEPING, evict

pytestmark = pytest.mark.faults

SITES = ["flask", "starlette", "fastapi", "django", "django_async"]


@pytest.fixture(params=SITES)
def open_site(request):
    return import_module(f"{request.param}_browsing").open_site


@pytest.fixture
def server(start_server):
    """A server that has everything after a kill that it had before."""
    return start_server(*KEEPING)


def state_of(browser):
    answer = browser.me()
    return answer.status, answer.body["user"], answer.body["data"]


class Visitors:
    """Browsers in every state that one can be in."""

    def __init__(self, site):
        self.ada, self.leaving, self.cart, self.stranger, self.arriving = (site.browser() for _ in range(5))
        for browser in (self.ada, self.leaving):
            browser.sign_in("ada")
            browser.put("a", "1")
        self.cart.put("cart", "tea")
        self.tokens = self._tokens()
        self.ids = [browser.me().body["id"] for browser in (self.ada, self.leaving, self.cart)]

    def _tokens(self):
        return [browser.token for browser in (self.ada, self.leaving, self.cart, self.stranger, self.arriving)]

    def assert_nobody_was_logged_out(self):
        assert self._tokens() == self.tokens
        assert state_of(self.ada) == state_of(self.leaving) == (200, "ada", {"a": "1"})
        assert state_of(self.cart) == (200, None, {"cart": "tea"})
        assert [browser.me().body["id"] for browser in (self.ada, self.leaving, self.cart)] == self.ids

    def assert_all_works(self):
        assert self.ada.put("b", "2").status == 200
        assert state_of(self.ada) == (200, "ada", {"a": "1", "b": "2"})
        assert self.cart.sign_in("bob").sets_cookie
        assert state_of(self.cart) == (200, "bob", {"cart": "tea"})
        assert self.arriving.sign_in("cid").sets_cookie
        assert state_of(self.arriving) == (200, "cid", {})
        assert self.leaving.sign_out().sets_cookie
        assert self.leaving.token is None
        assert state_of(self.leaving) == (200, None, {})


def assert_refused(answers):
    for name, answer in answers.items():
        assert (answer.status, answer.sets_cookie) == (503, False), name
        assert int(answer.retry_after) > 0, name


@pytest.mark.parametrize("fault", FAULTS)
def test_every_request_that_needs_redis_is_a_503_and_nobody_is_logged_out(open_site, server, fault):
    with open_site(server.url, touch_interval=0) as site:
        visitors = Visitors(site)
        with FAULTS[fault](server):
            nobody = visitors.stranger.me()
            assert (nobody.status, nobody.body["user"], nobody.sets_cookie) == (200, None, False)
            assert_refused(
                {
                    "read": visitors.ada.me(),
                    "write": visitors.ada.put("late", "1"),
                    "sign-in with a cart": visitors.cart.sign_in("bob"),
                    "sign-in": visitors.arriving.sign_in("cid"),
                    "first write": visitors.stranger.put("late", "1"),
                    "sign-out": visitors.leaving.sign_out(),
                }
            )
        visitors.assert_nobody_was_logged_out()
        visitors.assert_all_works()


@pytest.mark.parametrize("fault", ["read-only", "out of memory"])
def test_where_only_writes_are_refused_pages_that_read_are_served(open_site, server, fault):
    with open_site(server.url, touch_interval=1000) as site:
        visitors = Visitors(site)
        with FAULTS[fault](server):
            assert visitors.stranger.me().status == 200
            assert state_of(visitors.ada) == (200, "ada", {"a": "1"})
            assert state_of(visitors.cart) == (200, None, {"cart": "tea"})
            assert_refused(
                {
                    "write": visitors.ada.put("late", "1"),
                    "sign-in": visitors.arriving.sign_in("cid"),
                    "first write": visitors.stranger.put("late", "1"),
                }
            )
            if fault == "read-only":
                assert_refused({"sign-out": visitors.leaving.sign_out()})
        visitors.assert_nobody_was_logged_out()
        visitors.assert_all_works()


def test_a_user_can_sign_out_where_there_is_no_memory_left(open_site, server):
    with open_site(server.url, touch_interval=1000) as site:
        visitors = Visitors(site)
        with FAULTS["out of memory"](server):
            answer = visitors.leaving.sign_out()
            assert (answer.status, answer.sets_cookie) == (200, True)
            assert visitors.leaving.token is None
        assert site.manager.authenticate(visitors.tokens[1]) is None
        assert state_of(visitors.ada) == (200, "ada", {"a": "1"})


def test_lost_scripts_go_unnoticed(open_site, server):
    with open_site(server.url, touch_interval=0) as site:
        visitors, client = Visitors(site), server.client()
        client.script_flush()
        visitors.assert_nobody_was_logged_out()
        for ask in (
            visitors.ada.me,
            lambda: visitors.ada.put("b", "2"),
            lambda: visitors.cart.sign_in("bob"),
            lambda: visitors.arriving.sign_in("cid"),
            visitors.leaving.sign_out,
        ):
            client.script_flush()
            assert ask().status == 200
        assert state_of(visitors.ada) == (200, "ada", {"a": "1", "b": "2"})
        assert state_of(visitors.cart) == (200, "bob", {"cart": "tea"})
        assert state_of(visitors.arriving) == (200, "cid", {})
        assert state_of(visitors.leaving) == (200, None, {})


@pytest.fixture
def evicting(start_server):
    """A server that evicts what it is told to."""
    return start_server(*EVICTING)


def test_who_was_evicted_is_signed_out_alone_and_can_come_back(open_site, evicting):
    with open_site(evicting.url, namespace="site", touch_interval=0) as site:
        visitors = Visitors(site)
        evict(evicting, f"{{site:0}}:s:{visitors.ids[0]}")
        assert state_of(visitors.ada) == (200, None, {})
        assert state_of(visitors.leaving) == (200, "ada", {"a": "1"})
        assert state_of(visitors.cart) == (200, None, {"cart": "tea"})
        assert set(site.manager.get_all_sessions()) == set(visitors.ids[1:])
        assert site.manager.get_user_sessions("ada") == visitors.ids[1:2]
        assert visitors.ada.sign_in("ada").sets_cookie
        assert state_of(visitors.ada) == (200, "ada", {})


@pytest.mark.parametrize("index", ["activity", "expiry", "users", "u:*"])
def test_an_evicted_index_logs_nobody_out_and_comes_back(open_site, evicting, index):
    with open_site(evicting.url, namespace="site", touch_interval=0) as site:
        visitors = Visitors(site)
        (key,) = evicting.client().scan_iter(f"{{site:0}}:{index}", count=1000)
        evict(evicting, key.decode())
        visitors.assert_nobody_was_logged_out()
        assert set(site.manager.get_all_sessions()) == set(visitors.ids)
        assert set(site.manager.get_user_sessions("ada")) == set(visitors.ids[:2])
        assert site.manager.get_all_users() == ["ada"]
        visitors.assert_all_works()
