"""What the admin ends: selected sessions, all of a user's, all but the viewer's own; asked first, then logged."""

from __future__ import annotations

import re

import pytest
from admin_kit import FIREFOX, PAGE, text_of
from django.contrib import admin
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import path as at

from redisess_core import SessionManager
from redisess_django import manager, session_killed
from redisess_django.admin import SessionAdmin
from redisess_django.models import Session
from redisess_django.sessions import SessionStore
from support.django_project import AFTER_SESSIONS, DJANGOS, OURS

SURE = {"post": "yes"}


def entries():
    """Give what the admin's log says of ends, and the ids it names."""
    found = LogEntry.objects.order_by("object_repr")
    assert all(entry.action_flag == DELETION and entry.content_type.model == "session" for entry in found)
    return [(entry.object_repr, entry.object_id) for entry in found]


def messages_of(page):
    return re.findall(r'<li class="(?:success|warning)">(.*?)</li>', text_of(page))


def own_session_of(browser):
    return browser.session.session_id


def test_selected_sessions_end_once_that_is_confirmed(boss, ada):
    sessions = [manager().create(str(ada.pk), user_agent=FIREFOX, ip=f"192.0.2.{each}") for each in range(3)]
    ids = [session.session_id for session in sessions]
    asked = boss.post(f"{PAGE}?q=ada", {"action": "end", "_selected_action": ids[:2]})
    assert "ada: Firefox on Linux, 192.0.2.1" in text_of(asked)
    assert "you will be signed out" not in text_of(asked)
    assert manager().count_for_user(ada.pk) == 3
    assert entries() == []
    done = boss.post(f"{PAGE}end/", {"id": ids[:2], "next": f"{PAGE}?q=ada", **SURE}, follow=True)
    assert done.redirect_chain == [(f"{PAGE}?q=ada", 302)]
    assert messages_of(done) == ["2 sessions were ended."]
    assert manager().get_user_sessions(ada.pk) == ids[2:]
    assert entries() == [(f"ada: Firefox on Linux, 192.0.2.{each}", ids[each]) for each in range(2)]


def test_the_form_of_the_confirmation_carries_what_was_asked_for(boss, ada):
    session = manager().create(str(ada.pk))
    url = f"{PAGE}?q=ada&active=day"
    page = text_of(boss.post(url, {"action": "end", "_selected_action": session.session_id}))
    assert f'action="{PAGE}end/"' in page
    assert f'<input type="hidden" name="id" value="{session.session_id}">' in page
    assert f'<input type="hidden" name="next" value="{url}">' in page
    assert f'<a href="{url}" class="button cancel-link">' in page


def test_ones_own_session_is_ended_with_a_warning_and_a_sign_out(boss, ada):
    own, other = own_session_of(boss), manager().create(str(ada.pk)).session_id
    asked = text_of(boss.get(f"{PAGE}end/", {"id": [own, other]}))
    assert "you will be signed out" in asked
    assert "(this session)" in asked
    done = boss.post(f"{PAGE}end/", {"id": [own, other], **SURE})
    assert done.status_code == 302
    assert done.cookies["sessionid"].value == ""
    assert manager().count() == 0
    assert boss.get(PAGE)["Location"].startswith("/admin/login/")
    assert len(entries()) == 2


def test_all_sessions_of_the_users_of_selected_ones_end(boss, ada, bob):
    of_ada = [manager().create(str(ada.pk)).session_id for _ in range(2)]
    of_bob, anonymous = manager().create(str(bob.pk)).session_id, manager().create(None).session_id
    asked = text_of(boss.post(PAGE, {"action": "end_users", "_selected_action": [of_ada[0], of_bob, anonymous]}))
    assert "<li>ada (2 sessions)</li>" in asked
    assert "<li>bob (1 session)</li>" in asked
    assert manager().count() == 5
    done = boss.post(f"{PAGE}end-users/", {"user": [ada.pk, bob.pk], **SURE}, follow=True)
    assert messages_of(done) == ["3 sessions were ended."]
    assert manager().count_for_user(ada.pk) == manager().count_for_user(bob.pk) == 0
    assert manager().exists(anonymous)
    assert entries() == [("all sessions of ada (2)", ""), ("all sessions of bob (1)", "")]


def test_ending_all_of_ones_own_signs_out(boss):
    own = User.objects.get(username="boss").pk
    manager().create(str(own))
    assert "you will be signed out" in text_of(boss.get(f"{PAGE}end-users/", {"user": own}))
    boss.post(f"{PAGE}end-users/", {"user": own, **SURE})
    assert manager().count() == 0
    assert boss.get(PAGE).status_code == 302


@pytest.mark.parametrize("shards", [1, 8])
def test_all_but_ones_own_session_end(boss, site, set_up, clock, shards):
    set_up(clock=clock, shards=shards, namespace=f"of_{shards}_shards")
    user = User.objects.get(username="boss")
    boss.force_login(user)
    for number in range(60):
        manager().create(f"user{number % 7}" if number % 2 else None)
    manager().create(str(user.pk))
    assert "62 sessions of 8 users" in text_of(boss.get(f"{PAGE}end-others/"))
    assert manager().count() == 62
    done = boss.post(f"{PAGE}end-others/", SURE, follow=True)
    assert messages_of(done) == ["61 sessions were ended."]
    assert manager().get_all_sessions() == [own_session_of(boss)]
    assert entries() == [("all sessions but one (61)", "")]


@pytest.mark.parametrize("how", ["get", "head", "post without a yes"])
@pytest.mark.parametrize("path", ["end/", "end-users/", "end-others/", ""])
def test_what_is_not_confirmed_ends_nothing(boss, ada, how, path):
    session = manager().create(str(ada.pk))
    given = {"id": session.session_id, "user": ada.pk, "_selected_action": session.session_id, "action": "end"}
    if how == "post without a yes":
        boss.post(PAGE + path, given)
    else:
        getattr(boss, how)(PAGE + path, {**given, **SURE})
    assert manager().count() == 2
    assert entries() == []


@pytest.mark.parametrize("path", ["end/", "end-users/", "end-others/", ""])
def test_a_form_from_elsewhere_is_refused(boss, ada, path):
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = boss.cookies
    session = manager().create(str(ada.pk))
    given = {"id": session.session_id, "user": ada.pk, "_selected_action": session.session_id, "action": "end"}
    assert strict.post(PAGE + path, {**given, **SURE}).status_code == 403
    assert manager().count() == 2


def test_who_may_view_alone_ends_nothing(staff, ada):
    browser = staff("view_session", "view_user")
    session = manager().create(str(ada.pk))
    page = text_of(browser.get(f"{PAGE}?user={ada.pk}"))
    assert "ada" in page
    for part in ('name="action"', 'type="checkbox"', "end-others", "end-users"):
        assert part not in page
    panel = text_of(browser.get(f"/admin/auth/user/{ada.pk}/change/"))
    assert "field-redisess_sessions" in panel
    assert f"{PAGE}end" not in panel
    given = {"id": session.session_id, "user": ada.pk, "_selected_action": session.session_id, "action": "end"}
    for path in ("", "end/", "end-users/", "end-others/"):
        assert browser.post(PAGE + path, {**given, **SURE}).status_code == 403
    assert manager().count() == 2


def test_who_may_delete_as_well_ends(staff, ada):
    browser = staff("view_session", "delete_session")
    session = manager().create(str(ada.pk))
    browser.post(f"{PAGE}end/", {"id": session.session_id, **SURE})
    assert manager().get_all_sessions() == [own_session_of(browser)]


@pytest.mark.parametrize(
    ("posted", "said"),
    [
        ({"action": "end"}, "Items must be selected"),
        ({"action": "end", "_selected_action": "x"}, "it has ended already"),
        ({"action": "end", "_selected_action": "saa" + "0" * 25}, "it has ended already"),
        ({"action": "end_users", "_selected_action": "saa" + "0" * 25}, "it has ended already"),
        ({"action": "", "_selected_action": "saa" + "0" * 25}, "No action selected"),
        ({"action": "delete_selected", "_selected_action": "saa" + "0" * 25}, "No action selected"),
    ],
)
def test_what_cannot_be_done_is_said(boss, posted, said):
    (message,) = messages_of(boss.post(PAGE, posted, follow=True))
    assert said in message
    assert manager().count() == 1


def test_what_ended_meanwhile_is_in_no_log(boss, ada):
    session = manager().create(str(ada.pk))
    page = boss.get(f"{PAGE}end/", {"id": session.session_id})
    manager().kill(session.session_id)
    assert page.status_code == 200
    done = boss.post(f"{PAGE}end/", {"id": session.session_id, **SURE}, follow=True)
    assert "it has ended already" in messages_of(done)[0]
    done = boss.post(f"{PAGE}end-users/", {"user": ada.pk, **SURE}, follow=True)
    assert messages_of(done) == ["0 sessions were ended."]
    assert entries() == []


@pytest.mark.parametrize("elsewhere", ["https://example.org/", "//example.org", "javascript:alert(1)", "/\\\\x.org"])
def test_nobody_is_led_elsewhere(boss, ada, elsewhere):
    session = manager().create(str(ada.pk))
    assert elsewhere not in text_of(boss.get(f"{PAGE}end/", {"id": session.session_id, "next": elsewhere}))
    done = boss.post(f"{PAGE}end/", {"id": session.session_id, "next": elsewhere, **SURE})
    assert done["Location"] == PAGE


def test_where_sessions_are_of_another_engine_all_but_mine_is_not_offered(site, set_up):
    set_up(SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies", session_middleware=DJANGOS)
    browser = Client()
    browser.force_login(User.objects.create_superuser("root"))
    manager().create("ada")
    page = text_of(browser.get(PAGE))
    assert "end-others" not in page
    assert browser.post(f"{PAGE}end-others/", SURE).status_code == 404
    assert manager().count() == 1


def test_redis_away_while_sessions_end_is_said_too(start_server, set_up, site):
    server = start_server()
    set_up(f"{server.url}?socket_timeout=0.1", MIDDLEWARE=[OURS, *AFTER_SESSIONS, "admin_kit.meddling"])
    browser = Client()
    browser.force_login(User.objects.create_superuser("root"))
    manager().create("ada")
    page = browser.post(f"{PAGE}end-others/", SURE, **{"test.meddle": server.pause})
    server.resume()
    assert page.status_code == 503
    assert entries() == []


@pytest.fixture
def thrown_out(site, set_up, clock):
    """A superuser's browser whose session ends while each of its requests runs: `thrown_out(shards=8)`."""

    def thrown_out(engines=OURS, **options):
        set_up(clock=clock, MIDDLEWARE=[engines, *AFTER_SESSIONS, "admin_kit.meddling"], **options)
        user, _made = User.objects.get_or_create(username="root", is_staff=True, is_superuser=True)
        browser = Client()
        browser.force_login(user)
        own = own_session_of(browser)
        return lambda path, given: browser.post(path, {**given, **SURE}, **{"test.meddle": lambda: manager().kill(own)})

    return thrown_out


@pytest.mark.parametrize("engines", [OURS, DJANGOS])
@pytest.mark.parametrize("shards", [1, 8])
@pytest.mark.parametrize("path", ["end/", "end-users/", "end-others/"])
def test_who_is_thrown_out_meanwhile_ends_nothing_and_is_sent_to_sign_in(thrown_out, ada, path, shards, engines):
    post = thrown_out(engines, shards=shards, namespace=f"of_{shards}_shards")
    ids = [manager().create(str(ada.pk)).session_id, manager().create(None).session_id]
    done = post(PAGE + path, {"id": ids, "user": ada.pk})
    assert (done.status_code, done["Location"]) == (302, f"/admin/login/?next={PAGE}{path}")
    assert sorted(manager().get_all_sessions()) == sorted(ids)
    assert entries() == []


def test_what_had_ended_when_one_was_thrown_out_is_logged(boss, ada, monkeypatch):
    ids = [manager().create(str(ada.pk), ip=f"192.0.2.{each}").session_id for each in range(3)]
    own = own_session_of(boss)

    run = SessionManager.run

    def throwing_out(self, plan):
        result = run(self, plan)
        if result is True:  # the first has ended
            self.kill(own)
        return result

    monkeypatch.setattr(SessionManager, "run", throwing_out)
    boss.post(f"{PAGE}end/", {"id": ids, **SURE})
    assert sorted(manager().get_user_sessions(ada.pk)) == sorted(ids[1:])
    assert entries() == [("ada: Unknown device, 192.0.2.0", ids[0])]


@pytest.mark.parametrize("shards", [1, 8])
def test_ones_own_of_several_end_last(boss, ada, bob, set_up, clock, shards):
    set_up(clock=clock, shards=shards, namespace=f"of_{shards}_shards")
    user = User.objects.get(username="boss")
    for path in ("end/", "end-users/"):
        boss.force_login(user)
        own = own_session_of(boss)
        others = [manager().create(str(each.pk)).session_id for each in (ada, bob)]
        boss.post(PAGE + path, {"id": [own, *others], "user": [user.pk, ada.pk, bob.pk], **SURE})
        assert manager().count() == 0


def test_each_that_was_selected_is_told_by_a_signal(boss, ada):
    told = []

    def note(sender, session_id, user_id, **_):
        told.append((sender, session_id, user_id))

    own, users = own_session_of(boss), User.objects.get(username="boss")
    theirs, anonymous = manager().create(str(ada.pk)).session_id, manager().create(None).session_id
    gone = manager().create(str(ada.pk))
    gone.kill()
    session_killed.connect(note)
    try:
        boss.post(f"{PAGE}end/", {"id": [own, theirs, anonymous, gone.session_id], **SURE})
    finally:
        session_killed.disconnect(note)
    assert told == [
        (SessionStore, theirs, str(ada.pk)),
        (SessionStore, anonymous, None),
        (SessionStore, own, str(users.pk)),
    ]


def test_a_confirmation_reads_sessions_together_and_without_their_data(boss, ada, wire):
    ids = [manager().create(str(ada.pk), data={"big": "x" * 10_000}).session_id for _ in range(60)]
    with wire() as seen:
        page = text_of(boss.post(PAGE, {"action": "end", "_selected_action": ids}))
    assert page.count('name="id"') == 60
    assert len(seen.names) == 2


class Cautious(SessionAdmin):
    """Lets nobody end a session of bob's."""

    def has_delete_permission(self, request, obj=None):
        mine = obj is None or obj.user_id != str(User.objects.get(username="bob").pk)
        return mine and super().has_delete_permission(request, obj)


careful = admin.AdminSite(name="careful")
careful.register(Session, Cautious)
careful.register(User, UserAdmin)
urlpatterns = [at("admin/", careful.urls)]


def test_a_permission_is_asked_for_each_session_and_for_each_user(boss, ada, bob, set_up, clock):
    set_up(clock=clock, ROOT_URLCONF=__name__)
    boss.force_login(User.objects.get(username="boss"))
    of_ada, of_bob = (manager().create(str(each.pk)).session_id for each in (ada, bob))
    for path, given in (("end/", {"id": [of_ada, of_bob]}), ("end-users/", {"user": [ada.pk, bob.pk]})):
        for answer in (boss.get(PAGE + path, given), boss.post(PAGE + path, {**given, **SURE})):
            assert answer.status_code == 403
    for action in ("end", "end_users"):
        assert boss.post(PAGE, {"action": action, "_selected_action": of_bob}).status_code == 403
    assert manager().count() == 3
    panels = [text_of(boss.get(f"/admin/auth/user/{each.pk}/change/")) for each in (ada, bob)]
    assert [f"{PAGE}end/" in panel for panel in panels] == [True, False]
    assert [f"{PAGE}end-users/" in panel for panel in panels] == [True, False]
    assert boss.post(f"{PAGE}end/", {"id": of_ada, **SURE}).status_code == 302
    assert manager().get_user_sessions(ada.pk) == []


def test_whose_key_is_renewed_by_the_same_request_ends_all_others(boss, ada, set_up, clock):
    manager().create(str(ada.pk))
    set_up(clock=clock, SECRET_KEY="another", SECRET_KEY_FALLBACKS=["of the tests"])
    before = own_session_of(boss)
    done = boss.post(f"{PAGE}end-others/", SURE)
    assert done["Location"] == PAGE
    assert own_session_of(boss) != before
    assert manager().get_all_sessions() == [own_session_of(boss)]
    assert boss.get(PAGE).status_code == 200
