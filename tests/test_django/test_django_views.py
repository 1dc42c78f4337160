"""The pages "your sessions", over WSGI and ASGI, under our middleware and Django's own."""

from __future__ import annotations

import asyncio
import re

import pytest
from django.conf import settings
from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.contrib.staticfiles import finders
from django.test import AsyncClient, Client
from django.urls import include, path
from django.utils import timezone
from django.views.debug import ExceptionReporter
from django.views.decorators.debug import sensitive_variables

from redisess_django import manager
from support.django_project import AFTER_SESSIONS, DJANGOS, OURS
from support.django_site import urlpatterns as site_urls

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari/604.1"
PAGE = "/account/sessions/"
ENDS = ("end/", "end-others/", "sign-in-again/")
TO_SIGN_IN = "/sign-in/?next=/account/sessions/"

ours = [path("sessions/", include("redisess_django.urls"))]
urlpatterns = [
    *site_urls,
    path("account/sessions/", include("redisess_django.urls")),
    path("mine/sessions/", include("redisess_django.urls", namespace="mine")),
    path("nested/", include((ours, "accounts"))),
    path("<slug:shop>/deep/", include(([path("", include((ours, "accounts"), namespace="inner"))], "shops"))),
]


class AnyName(BaseBackend):
    """Takes a password of somebody else's for any name, as a careless backend might."""

    def authenticate(self, request, username=None, password=None):
        return User.objects.get(username="bob") if password == "bob's" else None


class Broken(BaseBackend):
    """Cannot ask the directory that knows the passwords; in its own frames it hides them."""

    @sensitive_variables()
    def authenticate(self, request, username=None, password=None):
        raise RuntimeError("the directory does not answer")


def killing(get_response):
    """End the session of a request that asks for it, when its user is known and the view has yet to begin."""

    def middleware(request):
        if "HTTP_KILL" in request.META and request.user.is_authenticated:
            assert manager().kill(request.session.session_id)
        return get_response(request)

    return middleware


class Browser:
    """A browser that sends forms as the page has them, with the token against forged ones."""

    def __init__(self, colour, user_agent=FIREFOX):
        self.colour, self.user_agent, self.text = colour, user_agent, ""
        self.client = (Client if colour == "blocking" else AsyncClient)(enforce_csrf_checks=True)

    def _send(self, method, url, *args, **headers):
        headers = {"User-Agent": self.user_agent, **headers}
        self.client.handler._middleware_chain = None  # what a test set up since is to count
        answer = getattr(self.client, method)(url, *args, headers=headers)
        return answer if self.colour == "blocking" else asyncio.run(answer)

    def sign_in(self, name):
        assert self._send("get", f"/sign-in/{name}").status_code == 200
        return self

    def open(self, url=PAGE):
        answer = self._send("get", url)
        self.text = answer.content.decode() or self.text
        return answer

    def post(self, url, csrf=True, headers=(), **form):
        if csrf:
            form["csrfmiddlewaretoken"] = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.text)[1]
        answer = self._send("post", PAGE + url, form, **dict(headers))
        self.text = answer.content.decode() or self.text
        return answer

    @property
    def ids(self):
        """The session ids in the page: first this device's."""
        self.open()
        return re.findall(r'name="session_id" value="(\w+)"', self.text)

    @property
    def signed_in(self):
        return self.open().status_code == 200


@pytest.fixture(params=[OURS, DJANGOS], ids=["ours", "django's"])
def site(set_up, request, ada, bob, clock):
    def site(**changed):
        middleware = [request.param, *AFTER_SESSIONS, f"{__name__}.killing"]
        changed = {"clock": clock, "MIDDLEWARE": middleware, "ROOT_URLCONF": __name__, **changed}
        set_up(**{"LOGIN_URL": "/sign-in/", "SESSION_COOKIE_AGE": 100_000, **changed})

    site()
    return site


@pytest.fixture
def browser(site, colour):
    return lambda name=None, **options: Browser(colour, **options).sign_in(name) if name else Browser(colour, **options)


@pytest.fixture
def here(browser):
    return browser("ada")


@pytest.fixture
def there(here, browser, clock):
    clock.advance(600)
    there = browser("ada", user_agent="curl/8.5.0")
    clock.advance(60)
    return there


@pytest.fixture
def pages(set_up, ada, clock):
    """Set up what no server and no middleware makes a difference to."""

    def pages(**changed):
        set_up(**{"clock": clock, "ROOT_URLCONF": __name__, "LOGIN_URL": "/sign-in/", **changed})

    pages()
    return pages


@pytest.fixture
def laptop(pages):
    return Browser("blocking").sign_in("ada")


@pytest.fixture
def phone(laptop, clock):
    clock.advance(601)
    return Browser("blocking", user_agent=IPHONE).sign_in("ada")


def test_this_device_and_the_others_are_shown(here, there, browser):
    browser("bob")
    answer = here.open()
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "max-age=0, no-cache, no-store, must-revalidate, private"
    this, others = here.text.split("Other devices")
    assert "just now" in this
    assert "1\xa0minute ago" in others
    assert "Jan. 15, 2027, 2:10 a.m." in others  # the project's time zone
    assert re.findall(r'<time datetime="([^"]+)"', others) == ["2027-01-15T02:10:00-06:00"] * 2
    assert len(here.ids) == 2


def test_a_device_is_shown_by_its_name_its_address_and_in_the_visitors_time(laptop, phone):
    laptop.open()
    this, others = laptop.text.split("Other devices")
    assert "Firefox on Linux" in this
    assert "Safari on iPhone" in others
    assert "127.0.0.1" in this
    assert "127.0.0.1" in others
    with timezone.override("Asia/Tokyo"):
        laptop.open()
    assert "Jan. 15, 2027, 5:10 p.m." in laptop.text
    assert "2027-01-15T17:10:01+09:00" in laptop.text


def test_a_page_with_one_device_has_nothing_else_to_end(here):
    assert len(here.ids) == 1
    assert "You are signed in nowhere else." in here.text
    assert "End all others" not in here.text


def test_another_one_is_ended(here, there):
    own, other = here.ids
    answer = here.post("end/", session_id=other)
    assert (answer.status_code, answer.headers["Location"]) == (302, PAGE)
    here.open()
    assert "The session has ended." in here.text
    assert not there.signed_in
    assert here.ids == [own]
    here.post("end/", session_id=other)
    here.open()
    assert "That session had ended already." in here.text


def test_to_end_this_one_is_to_sign_out(here, there, site):
    told = []

    def note(sender, user, **_):
        told.append(user.get_username())

    user_logged_out.connect(note)
    try:
        answer = here.post("end/", session_id=here.ids[0])
    finally:
        user_logged_out.disconnect(note)
    assert told == ["ada"]
    assert (answer.status_code, answer.headers["Location"]) == (302, "/sign-in/")
    assert not here.signed_in
    assert there.signed_in
    site(LOGOUT_REDIRECT_URL="/bye/")
    there.open()
    assert there.post("end/", session_id=there.ids[0]).headers["Location"] == "/bye/"


@pytest.mark.parametrize("session_id", ["", "-", "\x00", "saa" + "0" * 25, "1aa" + "a" * 26])
def test_what_is_no_session_of_ones_own_ends_nothing(here, session_id):
    here.open()
    assert here.post("end/", session_id=session_id).status_code == 302
    here.open()
    assert "That session had ended already." in here.text
    assert manager().count() == 1


def test_a_session_of_somebody_else_lives_on(here, browser, site):
    for shards in (1, 8):
        site(shards=shards, namespace=f"of-{shards}")
        ada, bob = browser("ada"), browser("bob")
        (theirs,) = bob.ids
        ada.open()
        ada.post("end/", session_id=theirs)
        ada.open()
        assert "That session had ended already." in ada.text
        assert bob.signed_in
        ada.post("end-others/")
        assert bob.signed_in


def test_a_token_in_place_of_an_id_ends_nothing_and_is_not_shown(here, there):
    here.open()
    token = there.client.cookies["sessionid"].value
    here.post("end/", session_id=token)
    here.open()
    assert token not in here.text
    assert there.signed_in


def test_no_page_has_a_token_in_it(here, there):
    tokens = [each.client.cookies["sessionid"].value for each in (here, there)]
    here.open()
    pages = here.text
    here.post("end-others/")
    pages += here.text
    assert "Password" in pages
    assert not [token for token in tokens if token in pages]


def test_all_others_are_ended_without_a_question_while_the_sign_in_is_fresh(here, there, browser):
    bob = browser("bob")
    (own, _other) = there.ids
    answer = there.post("end-others/")
    assert (answer.status_code, answer.headers["Location"]) == (302, PAGE)
    there.open()
    assert "1 other session has ended." in there.text
    assert there.ids == [own]
    assert not here.signed_in
    assert bob.signed_in


def test_all_others_are_ended_with_the_password_once_the_sign_in_is_stale(here, there, browser, clock):
    browser("ada")
    told = []

    def note(sender, user, **_):
        told.append(user.get_username())

    before = here.ids
    answer = here.post("end-others/")
    assert answer.status_code == 200
    assert 'autocomplete="current-password"' in here.text
    assert "errorlist" not in here.text
    for wrong in ("", "wrong", " secret "):
        assert here.post("end-others/", password=wrong).status_code == 200
        assert "errorlist" in here.text
        assert wrong == "" or wrong not in here.text
    assert set(here.ids) == set(before)

    here.post("end-others/")
    user_logged_in.connect(note)
    try:
        answer = here.post("end-others/", password="secret")
    finally:
        user_logged_in.disconnect(note)
    assert (answer.status_code, answer.headers["Location"]) == (302, PAGE)
    assert told == ["ada"]
    here.open()
    assert "2 other sessions have ended." in here.text
    (own,) = here.ids
    assert own not in before[1:]
    assert not there.signed_in
    browser("ada")
    here.open()
    assert here.post("end-others/").status_code == 302  # the sign-in is fresh again
    assert here.ids == [own]
    assert manager().get(own, touch=False).authenticated_at == clock()


def test_how_long_a_sign_in_is_fresh_is_the_project_s(here, there, site):
    site(fresh=10_000)
    here.open()
    assert here.post("end-others/").status_code == 302
    assert len(here.ids) == 1


def test_the_password_of_somebody_else_is_none(here, there, site):
    site(AUTHENTICATION_BACKENDS=["django.contrib.auth.backends.ModelBackend", f"{__name__}.AnyName"])
    here.open()
    assert here.post("end-others/", password="bob's").status_code == 200
    assert "This is not your password." in here.text
    assert len(here.ids) == 2


def test_a_password_is_in_no_report_of_an_error(laptop, pages, clock):
    clock.advance(601)
    laptop.open()
    laptop.post("end-others/")
    pages(AUTHENTICATION_BACKENDS=["django.contrib.auth.backends.ModelBackend", f"{__name__}.Broken"])
    typed = "hunter2"
    with pytest.raises(RuntimeError, match="the directory") as raised:
        laptop.post("end-others/", password=typed)
    shown = [
        frame["function"]
        for frame in ExceptionReporter(None, raised.type, raised.value, raised.tb).get_traceback_frames()
        if "/tests/" not in frame["filename"] and "/test/" not in frame["filename"]  # who typed it
        if any(typed in repr(value) for _name, value in frame["vars"])
    ]
    assert shown == []


def test_who_has_no_password_signs_in_again(here, there, ada):
    User.objects.filter(pk=ada.pk).update(password="!", last_login=None)
    for each in (here, there):  # as a sign-on elsewhere would have it
        session = manager().get(manager().authenticate(each.client.cookies["sessionid"].value).session_id)
        ada.refresh_from_db()
        session.set("_auth_user_hash", ada.get_session_auth_hash())
    here.open()
    here.post("end-others/")
    assert 'type="password"' not in here.text
    assert here.post("end-others/", password="").status_code == 200
    assert here.post("end-others/", password="!").status_code == 200
    assert there.signed_in

    answer = here.post("sign-in-again/")
    assert (answer.status_code, answer.headers["Location"]) == (302, TO_SIGN_IN)
    assert not here.signed_in
    assert there.signed_in


def test_an_acting_session_that_died_ends_nothing(here, there, browser):
    third = browser("ada")
    for url, form in (("end/", {"session_id": there.ids[0]}), ("end-others/", {})):
        late = browser("ada")
        late.open()
        answer = late.post(url, headers={"Kill": "yes"}, **form)
        assert (answer.status_code, answer.headers["Location"]) == (302, PAGE)
        assert "sessionid" not in answer.cookies
        assert late.open().headers["Location"] == TO_SIGN_IN
    assert there.signed_in
    assert third.signed_in


def test_the_password_does_not_revive_an_acting_session_that_died(here, there):
    here.open()
    here.post("end-others/")
    answer = here.post("end-others/", headers={"Kill": "yes"}, password="secret")
    assert (answer.status_code, answer.headers["Location"]) == (302, PAGE)
    assert "sessionid" not in answer.cookies
    assert not here.signed_in
    assert there.signed_in
    assert manager().count() == 1


@pytest.mark.parametrize("url", ENDS)
def test_an_end_is_only_by_post(here, browser, url):
    here.open()
    for each in (here, browser()):
        answer = each.open(PAGE + url)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert here.signed_in


@pytest.mark.parametrize("url", ENDS)
def test_a_forged_form_is_refused(here, there, url):
    answer = here.post(url, csrf=False, session_id=there.ids[0], password="secret")
    assert answer.status_code == 403
    assert len(here.ids) == 2


def test_the_list_changes_nothing(here):
    here.open()
    assert here.post("").status_code == 405


def test_who_is_not_signed_in_is_sent_to_sign_in_and_from_there_to_the_list(here, browser, site):
    here.open()
    manager().kill_all()
    assert here.open().headers["Location"] == browser().open().headers["Location"] == TO_SIGN_IN
    for url in ENDS:
        answer = here.post(url)
        assert (answer.status_code, answer.headers["Location"]) == (302, TO_SIGN_IN)
    site(LOGIN_URL="https://id.example/in")
    expected = "https://id.example/in?next=http%3A//testserver/account/sessions/"
    assert here.post("end-others/").headers["Location"] == expected


def test_a_project_that_asks_everybody_to_sign_in_sends_them_to_the_list_too(here, site):
    here.open()
    manager().kill_all()
    site(MIDDLEWARE=[OURS, *AFTER_SESSIONS, "django.contrib.auth.middleware.LoginRequiredMiddleware"])
    for url in ENDS:
        assert here.post(url).headers["Location"] == TO_SIGN_IN


@pytest.mark.parametrize(
    "user_agent",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "Mozilla/5.0 <b>Firefox/1</b>",
        "{{ request.session.session_key }}",
        "x'/1.0 (Linux)",
    ],
)
def test_a_hostile_user_agent_is_not_markup(laptop, user_agent):
    Browser("blocking", user_agent=user_agent).sign_in("ada")
    laptop.open()
    assert user_agent not in laptop.text
    assert not re.search(r"<(script|img|b)\b", laptop.text)
    assert len(laptop.ids) == 2


def test_a_hostile_address_is_escaped(laptop, ada):
    manager().create(str(ada.pk), ip="<script>alert(1)</script>", user_agent="curl/8")
    laptop.open()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in laptop.text
    assert "<script" not in laptop.text


def test_what_was_not_recorded_is_left_out(pages):
    pages(record_client=False)
    laptop = Browser("blocking").sign_in("ada")
    laptop.open()
    assert "Unknown device" in laptop.text
    assert "Address" not in laptop.text


def test_of_a_user_with_many_sessions_the_latest_are_shown(laptop, ada, clock, monkeypatch):
    monkeypatch.setattr("redisess_django.views.MOST_SHOWN", 2)
    for number in range(3):
        clock.advance(1)
        manager().create(str(ada.pk), ip=f"10.0.0.{number}")
    assert len(laptop.ids) == 3
    assert "And 1 more." in laptop.text
    assert "10.0.0.0" not in laptop.text
    assert laptop.text.index("10.0.0.2") < laptop.text.index("10.0.0.1")


def test_messages_need_not_be_installed(laptop, phone, pages):
    pages(MIDDLEWARE=[OURS, AFTER_SESSIONS[0]])
    laptop.open()
    assert laptop.post("end/", session_id=laptop.ids[1]).status_code == 302
    assert len(laptop.ids) == 1


def test_a_project_puts_its_own_frame_around_the_pages(laptop, phone, pages, tmp_path):
    frame = "<title>{% block title %}{% endblock %} | The shop</title>{% block content %}{% endblock %}"
    tmp_path.joinpath("redisess").mkdir()
    tmp_path.joinpath("redisess/base.html").write_text(frame)
    pages(TEMPLATES=[{**settings.TEMPLATES[0], "DIRS": [tmp_path]}])
    laptop.open()
    assert laptop.text.startswith("<title>Your sessions | The shop</title>")
    laptop.post("end-others/")
    assert laptop.text.startswith("<title>End all other sessions | The shop</title>")


@pytest.mark.parametrize("under", ["/mine/sessions/", "/nested/sessions/", "/paint/deep/sessions/"])
def test_a_project_puts_the_pages_into_a_namespace_of_its_own(laptop, phone, under):
    def links():
        return set(re.findall(rf'(?:action|href)="({under}[^"]*|/account/[^"]*)"', laptop.text))

    laptop.open(under)
    assert links() == {f"{under}end/", f"{under}end-others/"}
    token = {"csrfmiddlewaretoken": re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', laptop.text)[1]}
    laptop.text = laptop.client.post(f"{under}end-others/", token).content.decode()
    assert links() == {under, f"{under}end-others/"}
    assert laptop.client.post(f"{under}end/", token)["Location"] == under
    assert laptop.client.post(f"{under}sign-in-again/", token)["Location"] == f"/sign-in/?next={under}"


@pytest.mark.parametrize("url", ["", "end/", "end-others/"])
def test_redis_away_is_a_503_and_nobody_is_signed_out(laptop, pages, start_server, url):
    laptop.open()
    with start_server() as server:
        away = server.url
    pages(url=away)
    answer = laptop.post(url, session_id="-") if url else laptop.open()
    assert answer.status_code == 503
    assert "sessionid" not in answer.cookies


def test_a_page_says_its_language(laptop, pages):
    pages(LANGUAGE_CODE="he")
    laptop.open()
    assert '<html lang="he" dir="rtl">' in laptop.text


def test_the_stylesheet_is_there():
    assert finders.find("redisess/sessions.css")
