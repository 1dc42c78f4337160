"""What others got wrong and what the standards ask, by row, under Django; what races needs a live server, see races."""

from __future__ import annotations

import logging
import re

import pytest
from django.contrib.auth import get_user_model
from django.core.checks import run_checks
from django.test import Client
from django.urls import path

from redisess_core.tokens import session_id_of
from redisess_django import manager, session_killed, session_required, sessions
from redisess_django.helpers import kill_user
from support.django_site import both, untouched
from support.django_site import urlpatterns as site_urls

DAY = 86400


def run_away(request):
    """End the session behind the request's back, then write."""
    manager().kill(request.session.session_id)
    request.session["late"] = True
    return untouched(request)


def rotate_behind(request):
    sessions.SessionStore(request.session.session_key).cycle_key()
    return untouched(request)


def look(request):
    assert "anything" not in request.session
    return untouched(request)


async def arun_away(request):
    manager().kill(request.session.session_id)
    await request.session.aset("late", True)
    return untouched(request)


urlpatterns = [
    *site_urls,
    *both("run-away", run_away, arun_away),
    path("rotate-behind", rotate_behind),
    path("look", look),
    path("fresh", session_required(fresh=60)(untouched)),
]


@pytest.fixture
def site(set_up, ada, bob, clock):
    set_up(ROOT_URLCONF=__name__, clock=clock, touch_interval=0)


@pytest.fixture
def browser(site):
    client = Client()
    client.get("/sign-in/ada")
    return client


def key_of(client):
    return client.cookies["sessionid"].value


def user_of(client):
    return client.get("/me").json()["user"]


def with_key(key, **headers):
    client = Client(headers=headers)
    client.cookies["sessionid"] = key
    return client


# Defects of others


@pytest.mark.parametrize("key", ["chosen" * 5, "1aa" + "a" * 26, "a" * 32])
def test_an_id_that_the_client_chose_never_becomes_a_live_session(site, key):
    client = with_key(key)
    client.get("/put/a/b")
    assert key_of(client) != key
    assert manager().count() == 1
    assert not sessions.SessionStore().exists(key)


@pytest.mark.parametrize("where", ["run-away", "async/run-away"])
def test_cve_2025_46336_a_request_that_ends_after_a_logout_writes_nothing_back(browser, redis_client, where):
    answer = browser.get(f"/{where}")
    assert answer.status_code == 400
    assert not answer.cookies
    assert manager().count() == 0
    assert not redis_client.keys("*:s:*")


def test_a_save_is_one_script_and_no_read_before_a_write(browser, wire):
    browser.get("/put/a/b")
    with wire() as seen:
        browser.get("/put/a/c")
    assert seen.names == ["EVALSHA", "EVALSHA"]  # the read of the request's start, the write of its end


def test_a_redis_error_signs_nobody_out_and_replaces_no_cookie(set_up, ada, start_server):
    server = start_server()
    set_up(url=server.url, ROOT_URLCONF=__name__)
    client = Client(raise_request_exception=False)
    client.get("/sign-in/ada")
    key = key_of(client)
    server.pause()
    for where in ("me", "put/a/b"):
        answer = client.get(f"/{where}")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert not answer.cookies
    server.resume()
    assert key_of(client) == key
    assert user_of(client) == "ada"


def test_alogin_names_the_user_who_is_then_found_and_signed_out(site, ada):
    client = Client()
    client.get("/async/sign-in/ada")
    assert manager().count_for_user(ada.pk) == 1
    assert kill_user(ada) == 1
    assert user_of(client) is None


def test_a_rotation_leaves_no_old_id_alive(browser):
    before = key_of(browser)
    browser.get("/sign-in/ada")
    assert manager().authenticate(before) is None
    assert manager().count() == 1


def test_renewing_a_token_does_not_reset_the_absolute_deadline_and_a_sign_in_does(set_up, ada, clock):
    set_up(ROOT_URLCONF=__name__, clock=clock, max_lifetime=1000)
    client = Client()
    client.get("/sign-in/ada")
    clock.advance(600)
    client.get("/rotate-behind")
    (session,) = manager().list_user_sessions(ada.pk)
    assert session.expires_in == 400
    client.get("/sign-in/ada")
    assert max(each.expires_in for each in manager().list_user_sessions(ada.pk)) == 1000


def test_no_write_on_every_request_no_session_for_every_visitor_no_cookie_on_everything(browser, wire, redis_client):
    stranger = Client()
    for client, where, commands in ((stranger, "me", 0), (browser, "static/x.css", 0), (browser, "me", 1)):
        with wire() as seen:
            answer = client.get(f"/{where}")
        assert not answer.cookies
        assert len(seen.names) == commands
    assert manager().count() == 1


def test_cve_2023_30861_a_cookie_that_is_sent_is_kept_out_of_caches(site):
    client = Client()
    for _ in range(2):
        answer = client.get("/put/a/b")
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Vary"] == "Cookie"


def test_cve_2026_27205_a_look_at_the_keys_alone_varies_by_cookie(browser):
    assert browser.get("/look").headers["Vary"] == "Cookie"
    assert "Vary" not in browser.get("/untouched").headers


def test_cve_2023_20866_no_token_is_logged_whatever_happens(browser, caplog):
    key = key_of(browser)
    with caplog.at_level(logging.DEBUG):
        browser.get("/run-away")
        Client(raise_request_exception=False).get("/fail")
        with_key(key).get("/put/a/b")
    assert caplog.text
    assert key not in caplog.text


def test_a_list_of_devices_shows_handles_and_no_tokens(set_up, ada):
    set_up(ROOT_URLCONF="support.django_pages")
    client, other = Client(), Client()
    for each in (client, other):
        each.get("/sign-in/ada")
    page = client.get("/account/sessions/").content.decode()
    for each in (client, other):
        assert session_id_of(key_of(each)) in page
        assert key_of(each) not in page


def test_the_limit_holds_for_each_sign_in(set_up, ada):
    set_up(ROOT_URLCONF=__name__, max_sessions_per_user=3)
    for _ in range(6):
        Client().get("/sign-in/ada")
    assert manager().count_for_user(ada.pk) == 3


def test_cve_2026_39324_a_value_that_does_not_decode_is_refused_not_decoded_otherwise(browser, redis_client, namespace):
    browser.get("/put/a/b")
    (stored,) = redis_client.keys("*:s:*")
    redis_client.hset(stored, "d:a", b"\x80\x04N.")  # a pickle
    answer = Client(raise_request_exception=False)
    answer.cookies["sessionid"] = key_of(browser)
    assert answer.get("/me").status_code == 500


def test_cve_2024_35220_a_cookie_that_the_client_keeps_longer_does_not_outlive_the_session(browser, clock):
    clock.advance(14 * DAY)
    assert user_of(browser) is None


@pytest.mark.parametrize("secs", [0.001, 0.4, 1])
def test_a_positive_expiry_is_never_rounded_to_for_ever(site, redis_client, secs):
    store = sessions.SessionStore()
    store.set_expiry(secs)
    store.save()
    (key,) = redis_client.keys("*:s:*")
    assert redis_client.pttl(key) > 0


@pytest.mark.parametrize(
    "changed",
    [
        {"SESSION_COOKIE_NAME": "a; Path=/"},
        {"SESSION_COOKIE_PATH": "/; Domain=evil"},
        {"SESSION_COOKIE_DOMAIN": "a.example\r\nX: y"},
    ],
)
def test_cve_2024_47764_a_name_path_or_domain_that_injects_is_refused_at_the_start(set_up, changed):
    set_up(SESSION_COOKIE_SECURE=True, **changed)
    assert {each.id for each in run_checks() if each.id.startswith("redisess.E")} >= {"redisess.E003"}


@pytest.mark.parametrize("empty", ["", '""', " "])
def test_cve_2015_3982_an_empty_id_is_no_session(site, wire, empty):
    with wire() as seen:
        assert user_of(with_key(empty)) is None
    assert seen.names == []
    assert sessions.SessionStore("").session_key is None


def test_cve_2015_5143_and_5963_a_logout_or_any_other_request_creates_no_record(site, redis_client):
    for where in ("sign-out", "me", "untouched"):
        Client().get(f"/{where}")
        with_key("x" * 32).get(f"/{where}")
    assert not redis_client.keys("*:s:*")


def test_a_session_of_someone_else_is_not_revoked_by_its_id(set_up, browser, ada, bob):
    set_up(ROOT_URLCONF="support.django_pages")
    client, other = Client(), Client()
    client.get("/sign-in/ada")
    other.get("/sign-in/bob")
    client.post("/account/sessions/end/", {"session_id": session_id_of(key_of(other))})
    assert user_of(other) == "bob"


def test_cve_2023_29019_the_id_is_not_kept_over_a_login(site):
    client = Client()
    client.get("/put/cart/tea")
    before = key_of(client)
    client.get("/sign-in/ada")
    assert key_of(client) != before
    assert client.get("/me").json() == {"user": "ada", "data": {"cart": "tea"}}


def test_cve_2023_40273_a_password_reset_ends_the_users_sessions(browser, ada):
    ada.set_password("other")
    ada.save()
    assert manager().count_for_user(ada.pk) == 0
    assert user_of(browser) is None


@pytest.mark.parametrize(
    "planted", ["\xa0__Host-sessionid", "__Host-sessionid\xa0", "__host-sessionid", " \x0c__Host-sessionid"]
)
def test_ghsa_r5rp_j6wh_rvv4_a_name_that_only_looks_like_ours_is_not_our_cookie(set_up, ada, planted):
    set_up(ROOT_URLCONF=__name__, SESSION_COOKIE_NAME="__Host-sessionid", SESSION_COOKIE_SECURE=True)
    client = Client()
    client.get("/sign-in/ada", secure=True)
    key = client.cookies["__Host-sessionid"].value
    victim = Client(headers={"Cookie": f"{planted}={key}".encode().decode("latin-1")})
    assert user_of(victim) is None


def test_a_request_in_flight_while_another_tab_rotates_does_not_sign_the_user_out(browser):
    answer = browser.get("/rotate-behind")
    assert not answer.cookies
    answer = browser.get("/me")  # began with the old key
    assert (answer.json()["user"], dict(answer.cookies)) == (None, {})


def test_what_is_stored_in_redis_sent_as_a_cookie_authenticates_nobody(browser, redis_client):
    browser.get("/put/a/b")
    found = {part for key in redis_client.scan_iter() for part in re.findall(r"[a-z0-9]{8,}", key.decode())}
    for key in redis_client.keys("*:s:*"):
        found |= {value.decode() for value in redis_client.hvals(key)}
    assert found
    for each in found:
        assert user_of(with_key(each.replace(";", ""))) is None


# OWASP ASVS 5.0


def test_asvs_7_2_1_a_session_is_verified_by_the_server_on_every_request(browser, ada):
    assert user_of(browser) == "ada"
    manager().kill_all()
    assert user_of(browser) is None


def test_asvs_7_2_2_and_7_2_3_a_token_is_random_with_128_bits_and_new_for_each_session(site):
    keys = set()
    for _ in range(20):
        client = Client()
        client.get("/put/a/b")
        keys.add(key_of(client))
    assert len(keys) == 20
    assert all(re.fullmatch(r"1[a-z2-7]{28}", key) for key in keys)


def test_asvs_7_2_4_a_sign_in_and_a_second_one_give_a_new_token_and_end_the_old_one(browser, ada):
    first = key_of(browser)
    browser.get("/sign-in/ada")
    assert key_of(browser) != first
    assert user_of(with_key(first)) is None


def test_asvs_7_3_1_a_session_ends_after_a_time_of_inactivity(set_up, ada, clock):
    set_up(ROOT_URLCONF=__name__, clock=clock, SESSION_COOKIE_AGE=600)
    client = Client()
    client.get("/sign-in/ada")
    key = key_of(client)
    for _ in range(3):
        clock.advance(599)
        assert user_of(with_key(key)) == "ada"
    clock.advance(600)
    assert user_of(with_key(key)) is None


def test_asvs_7_3_2_a_session_ends_after_an_absolute_time(set_up, ada, clock):
    set_up(ROOT_URLCONF=__name__, clock=clock, max_lifetime=1000)
    client = Client()
    client.get("/sign-in/ada")
    clock.advance(999)
    assert user_of(client) == "ada"
    clock.advance(1)
    assert user_of(client) is None


@pytest.mark.parametrize("end", ["logout", "expiry"])
def test_asvs_7_4_1_after_logout_or_expiry_a_token_is_of_no_further_use(browser, clock, end):
    key = key_of(browser)
    if end == "logout":
        browser.get("/sign-out")
    else:
        clock.advance(15 * DAY)
    assert user_of(with_key(key)) is None
    assert user_of(Client(headers={"Authorization": f"Bearer {key}"})) is None


def test_asvs_7_4_2_disabling_or_deleting_a_user_ends_all_of_that_users_sessions(browser, ada, bob):
    ada.is_active = False
    ada.save()
    assert manager().count_for_user(ada.pk) == 0
    Client().get("/sign-in/bob")
    pk = bob.pk
    bob.delete()
    assert manager().count_for_user(pk) == 0


def test_asvs_7_4_5_an_administrator_ends_one_users_sessions_or_everybodys(browser, ada):
    Client().get("/sign-in/ada")
    Client().get("/sign-in/bob")
    assert kill_user(ada) == 2
    assert manager().kill_all() == 1


def test_asvs_7_5_1_sensitive_changes_may_ask_for_a_fresh_sign_in(browser, clock):
    assert browser.get("/fresh").status_code == 200
    clock.advance(61)
    assert browser.get("/fresh").status_code == 401
    browser.get("/sign-in/ada")
    assert browser.get("/fresh").status_code == 200


def test_asvs_7_6_2_no_session_begins_without_the_users_act(site, redis_client):
    answer = Client().get("/me")
    assert not answer.cookies
    assert not redis_client.keys("*:s:*")


def test_asvs_3_3_1_to_3_3_5_the_cookie_is_what_the_settings_say(set_up, ada):
    set_up(ROOT_URLCONF=__name__, SESSION_COOKIE_SECURE=True, SESSION_COOKIE_NAME="__Host-sessionid")
    client = Client()
    client.get("/sign-in/ada", secure=True)
    cookie = client.cookies["__Host-sessionid"]
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == (True, True, "Lax")
    assert (cookie["path"], cookie["domain"]) == ("/", "")
    assert len(cookie.key) + len(cookie.value) < 100


def test_asvs_14_2_1_no_token_is_read_from_an_address(browser):
    key = key_of(browser)
    for name in ("sessionid", "token", "access_token"):
        assert Client().get("/me", {name: key}).json()["user"] is None


def test_asvs_14_3_1_a_sign_out_may_clear_what_the_browser_holds(set_up, ada):
    set_up(ROOT_URLCONF=__name__, clear_site_data=True)
    client = Client()
    client.get("/sign-in/ada")
    assert "Clear-Site-Data" not in client.get("/me").headers
    assert client.get("/sign-out").headers["Clear-Site-Data"] == '"cache", "cookies", "storage"'


def test_asvs_16_2_5_what_is_logged_of_a_session_is_its_handle(browser, caplog):
    handle = session_id_of(key_of(browser))
    with caplog.at_level(logging.DEBUG):
        browser.get("/run-away")
    assert handle in caplog.text
    assert key_of(browser) not in caplog.text


# The OWASP cheat sheet, RFC 6265bis, NIST SP 800-63B


def test_owasp_the_life_of_a_session_is_told_with_handles(browser, ada):
    told = []

    def note(sender, **known):
        told.append(known)

    session_killed.connect(note)
    try:
        handle = session_id_of(key_of(browser))
        browser.get("/sign-out")
    finally:
        session_killed.disconnect(note)
    assert [(each["session_id"], each["user_id"]) for each in told] == [(handle, str(ada.pk))]


def test_rfc_6265bis_a_cookie_is_deleted_with_what_it_was_set_with(set_up, ada):
    set_up(ROOT_URLCONF=__name__, SESSION_COOKIE_PATH="/", SESSION_COOKIE_DOMAIN="example.com")
    client = Client(SERVER_NAME="example.com")
    client.get("/sign-in/ada")
    gone = client.get("/sign-out").cookies["sessionid"]
    assert (gone.value, gone["max-age"], gone["path"], gone["domain"]) == ("", 0, "/", "example.com")
    assert gone["expires"] == "Thu, 01 Jan 1970 00:00:00 GMT"
    assert gone["samesite"] == "Lax"


def test_nist_800_63b_the_cookies_own_expiry_is_not_relied_on(set_up, ada, clock):
    set_up(ROOT_URLCONF=__name__, clock=clock, ttl=60)
    client = Client()
    client.get("/sign-in/ada")
    assert client.cookies["sessionid"]["max-age"] == 14 * DAY
    clock.advance(60)
    assert user_of(client) is None


def test_the_user_is_found_by_the_model_of_the_project(browser, ada):
    assert get_user_model().objects.get(pk=manager().get_all_users()[0]) == ada
