"""The admin's list of sessions: pages, filter, search, what a row shows, who may look."""

from __future__ import annotations

import re

import pytest
from admin_kit import FIREFOX, PAGE, given, pages_from, text_of, users_on
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from redisess_django import manager
from support.django_project import AFTER_SESSIONS, OURS


def test_the_index_leads_to_the_sessions(boss):
    page = text_of(boss.get("/admin/"))
    assert f'href="{PAGE}"' in page
    assert "redisess_django/session/add" not in page


def test_sessions_are_listed_by_page_the_latest_access_first(boss, clock, at_a_time):
    at_a_time(4)
    for number in range(10):
        clock.advance(1)
        manager().create(f"user{number}")
    clock.advance(1)
    names = ["boss (this session)", *(f"user{number}" for number in range(9, -1, -1))]
    assert pages_from(boss, PAGE) == [names[:4], names[4:8], names[8:]]
    second = boss.get(PAGE + given(boss.get(PAGE), r'href="([^"]*)" rel="next"'))
    assert given(second, r'href="([^"]*)">First page') == "?"


def test_a_page_that_is_full_is_not_followed_by_an_empty_one(boss, at_a_time):
    at_a_time(3)
    for _ in range(2):
        manager().create("ada")
    assert [len(page) for page in pages_from(boss, PAGE)] == [3]


@pytest.mark.parametrize(
    "after",
    ["x", ":", "1.0:", "nan:saa", "1e999:s", "1.0:" + "x" * 28, "1.0:saa" + "0" * 24, "\0", "9" * 400],
)
def test_what_is_no_place_to_go_on_from_is_the_first_page(boss, after):
    assert users_on(boss.get(PAGE, {"after": after})) == ["boss (this session)"]


def test_the_filter_shows_and_counts_those_of_the_last_minute_hour_and_day(boss, clock):
    for name in ("day", "hour", "minute"):
        clock.advance({"day": 0, "hour": 7200, "minute": 1800}[name])
        manager().create(name, ttl=0)
    clock.advance(30)
    boss.get("/me")
    found = {"": 4, "minute": 2, "hour": 3, "day": 4, "nonsense": 4}
    for period, sessions in found.items():
        page = boss.get(PAGE, {"active": period})
        assert len(users_on(page)) == sessions
        assert f"{sessions} sessions of {sessions} users" in text_of(page)
    for choice in ("Any time (4)", "Last minute (2)", "Last hour (3)", "Last day (4)"):
        assert choice in text_of(page)


@pytest.fixture
def people(site):
    made = {name: User.objects.create_user(name, f"{name}@example.org") for name in ("grace", "gracie", "alan")}
    User.objects.filter(username="alan").update(email="period@example.org")
    for user in made.values():
        manager().create(str(user.pk))
    manager().create("grace of the other service")
    return made


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("grac", ["grace", "gracie"]),
        ("GRACIE", ["gracie"]),
        ("period", ["alan"]),
        ("grace of the other service", ["grace of the other service"]),
        *((nothing, []) for nothing in ("nobody", "%", "\0", "x" * 300, "\ud800")),
    ],
    ids=ascii,
)
def test_a_search_finds_users_by_name_by_email_and_by_their_id(boss, people, query, found):
    assert sorted(users_on(boss.get(PAGE, {"q": query.encode("utf-8", "surrogatepass")}))) == found


def test_a_search_by_the_id_of_a_user_finds_theirs(boss, people):
    assert users_on(boss.get(PAGE, {"q": people["alan"].pk})) == ["alan"]
    assert users_on(boss.get(PAGE, {"user": people["alan"].pk})) == ["alan"]
    assert users_on(boss.get(PAGE, {"user": people["alan"].pk, "q": "gracie"})) == []
    assert users_on(boss.get(PAGE, {"user": "x" * 300})) == []


def test_a_search_by_the_whole_id_of_a_session_finds_it_untouched(boss, people, clock, wire):
    session = manager().create(str(people["alan"].pk))
    clock.advance(30)
    boss.get(PAGE, {"q": session.session_id})  # every script is known then
    with wire() as seen:
        page = boss.get(PAGE, {"q": f" {session.session_id} "})
    assert users_on(page) == ["alan"]
    assert f'value="{session.session_id}"' in text_of(page)
    assert "whole id of a user or a session" in text_of(page)
    assert seen.names == ["EVALSHA"] * 2  # the viewer's session, and this one
    assert manager().get(session.session_id, touch=False).idle == 30


def test_a_search_for_a_session_goes_by_user_and_activity_too(boss, people, clock):
    alan = str(people["alan"].pk)
    session_id = manager().create(alan).session_id
    clock.advance(60)
    for asked, found in (
        ({"user": alan, "active": "minute"}, ["alan"]),
        ({"user": people["grace"].pk}, []),
        ({"user": "x" * 300}, []),
    ):
        assert users_on(boss.get(PAGE, {"q": session_id, **asked})) == found
    clock.advance(1)
    assert users_on(boss.get(PAGE, {"q": session_id, "active": "minute"})) == []
    assert users_on(boss.get(PAGE, {"q": session_id, "active": "hour"})) == ["alan"]


def test_what_is_not_the_whole_id_of_a_live_session_is_a_users_name(boss, people):
    session = manager().create(str(people["alan"].pk))
    for query in (session.session_id[:-1], f"{session.session_id}0", session.token):
        assert users_on(boss.get(PAGE, {"q": query})) == []
    manager().kill(session.session_id)
    User.objects.filter(username="alan").update(username=session.session_id)
    assert users_on(boss.get(PAGE, {"q": session.session_id})) == [session.session_id]


def test_what_a_search_finds_is_merged_by_the_last_access_and_paged(boss, people, clock, at_a_time):
    at_a_time(2)
    ids = [str(user.pk) for user in people.values()]
    for number in range(7):
        clock.advance(1)
        manager().create(ids[number % 3])
    pages = pages_from(boss, f"{PAGE}?q=example.org")
    assert [len(page) for page in pages] == [2, 2, 2, 2, 2]
    found, names = [user for page in pages for user in page], list(people)
    assert found[:7] == [names[number % 3] for number in range(6, -1, -1)]
    assert sorted(found[7:]) == sorted(names)


def test_a_search_that_finds_too_many_users_says_so(boss):
    for number in range(21):
        manager().create(str(User.objects.create(username=f"same{number:02}").pk))
    page = boss.get(PAGE, {"q": "same"})
    assert len(users_on(page)) == 20
    assert "More users match" in text_of(page)


def test_who_may_not_see_users_does_not_find_them_by_email_and_gets_no_link(staff, people):
    browser = staff("view_session")
    assert users_on(browser.get(PAGE, {"q": "period"})) == []
    page = browser.get(PAGE, {"q": "alan"})
    assert users_on(page) == ["alan"]
    assert "auth/user" not in text_of(page)
    assert f"/admin/auth/user/{people['alan'].pk}/change/" in text_of(staff("view_session", "view_user").get(PAGE))


def test_a_row_shows_what_is_known(boss, ada, clock):
    manager().create(str(ada.pk), ip="192.0.2.1", user_agent=FIREFOX)
    manager().create(None, ttl=0)
    clock.advance(300)
    page = text_of(boss.get(PAGE))
    assert f'<a href="/admin/auth/user/{ada.pk}/change/">ada</a>' in page
    assert f'title="{FIREFOX}">Firefox on Linux</td>' in page
    assert "192.0.2.1" in page
    assert "5\xa0minutes ago" in page
    assert "anonymous" in page
    assert "never" in page


def test_ids_that_are_no_users_of_this_project_are_shown_as_they_are(boss, ada):
    strange = ["alan@example.org", f"0{ada.pk}", "9" * 30, "-1", "٣", "a\0b", "b5b1f1f8-0000-4000-8000-000000000000"]
    for user_id in strange:
        manager().create(user_id)
    assert sorted(users_on(boss.get(PAGE))) == sorted([*strange, "boss (this session)"])


def test_markup_from_outside_is_text(boss):
    hostile = '"><script>alert(1)</script>'
    user = User.objects.create(username=hostile)
    manager().create(str(user.pk), user_agent=hostile, ip=hostile)
    session = manager().create(hostile, user_agent=f"Firefox/1 Linux {hostile}")
    for path, asked in (
        (PAGE, {}),
        (PAGE, {"q": hostile}),
        (PAGE, {"user": hostile}),
        (PAGE, {"user": user.pk}),
        (f"{PAGE}end/", {"id": session.session_id, "next": hostile}),
        (f"{PAGE}end-users/", {"user": [hostile, user.pk]}),
        (f"/admin/auth/user/{user.pk}/change/", {}),
    ):
        page = boss.get(path, asked)
        assert page.status_code == 200
        assert b"<script>alert" not in page.content
        assert b"alert(1)" in page.content


def test_no_token_is_in_any_page(boss, ada):
    session = manager().create(str(ada.pk))
    tokens = {session.token, boss.cookies["sessionid"].value}
    for path in (
        PAGE,
        f"{PAGE}?user={ada.pk}",
        f"{PAGE}end/?id={session.session_id}",
        f"{PAGE}end-users/?user={ada.pk}",
        f"{PAGE}end-others/",
        f"/admin/auth/user/{ada.pk}/change/",
    ):
        assert not any(token in text_of(boss.get(path)) for token in tokens)


def test_a_page_of_many_sends_few_commands_and_asks_the_database_once_for_users(boss, wire, site):
    for number in range(60):
        manager().create(str(User.objects.create(username=f"user{number}").pk))
    for asked in ({}, {"q": "user"}):  # every script is known then
        boss.get(PAGE, asked)
    with wire() as seen, CaptureQueriesContext(connection) as queries:
        page = boss.get(PAGE)
    assert len(users_on(page)) == 50
    assert len(queries) == 2  # who looks, and who is on the page
    assert seen.names == ["EVALSHA"] * 7  # the viewer's session, the page, five numbers
    with wire() as seen, CaptureQueriesContext(connection) as queries:
        page = boss.get(PAGE, {"q": "user"})
    assert len(users_on(page)) == 20
    assert len(queries) == 3  # and those that the search finds
    assert seen.names == ["EVALSHA"] * 22  # the viewer's session, those of 20 users, and of who has the id "user"


def test_who_may_not_view_sessions_sees_none(staff, ada):
    browser = staff("delete_session", "view_user")
    session = manager().create(str(ada.pk))
    for path in ("", f"end/?id={session.session_id}", f"end-users/?user={ada.pk}", "end-others/"):
        assert browser.get(PAGE + path).status_code == 403
    assert "field-redisess_sessions" not in text_of(browser.get(f"/admin/auth/user/{ada.pk}/change/"))


def test_who_is_no_staff_is_sent_to_sign_in(site, ada):
    for browser in (Client(), Client()):
        for path in ("", "end/", "end-users/", "end-others/"):
            answer = browser.get(PAGE + path)
            assert answer.status_code == 302
            assert answer["Location"].startswith("/admin/login/")
        browser.force_login(ada)


def test_redis_away_is_said_with_a_503(start_server, set_up, site):
    server = start_server()
    set_up(f"{server.url}?socket_timeout=0.1", MIDDLEWARE=[OURS, *AFTER_SESSIONS, "admin_kit.meddling"])
    browser = Client()
    browser.force_login(User.objects.create_superuser("root"))
    for path in ("", "?q=a", "end-others/", "end-users/?user=1"):
        assert browser.get(PAGE + path).status_code == 200
        page = browser.get(PAGE + path, **{"test.meddle": server.pause})
        server.resume()
        assert page.status_code == 503
        assert int(page["Retry-After"]) > 0
        assert "Redis does not answer" in page.content.decode()
        assert "sessionid" not in page.cookies


def test_the_columns_are_headed_and_the_boxes_are_named(boss, ada):
    manager().create(str(ada.pk), user_agent=FIREFOX, ip="192.0.2.1")
    page = text_of(boss.get(PAGE)).partition('<table id="result_list">')[2]
    assert len(re.findall(r'<th scope="col"', page)) == 7
    assert len(re.findall(r'<th scope="row"', page)) == 2
    assert 'aria-label="Select ada: Firefox on Linux, 192.0.2.1"' in page
    assert 'aria-label="Select all sessions of this page"' in page
