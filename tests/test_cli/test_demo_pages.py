"""The demo's pages and its API: what they show, what they do, and what they refuse."""

from __future__ import annotations

import re
import shlex
from html.parser import HTMLParser

import pytest

from redisess_cli.demo import create_app
from redisess_core import SessionManager
from redisess_core.tokens import token_shard

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"
PHONE = (
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36"
)
COOKIE = "redisess_demo"
TO = "\N{EN DASH}"


@pytest.fixture
def app(redis_url):
    app = create_app(redis_url)
    app.testing = False  # errors shall be pages
    yield app
    app.extensions["redisess"].manager.close()


@pytest.fixture
def sessions(app):
    """The demo's own manager: what it really stored."""
    return app.extensions["redisess"].manager


@pytest.fixture
def browser(app):
    """Open browsers: `browser("ada")` is signed in, `browser()` is not."""

    def open_browser(name=None, user_agent=FIREFOX):
        client = app.test_client()
        client.environ_base["HTTP_USER_AGENT"] = user_agent
        if name is not None:
            assert client.post("/sign-in", data={"name": name}).status_code == 303
        return client

    return open_browser


def token_of(client):
    cookie = client.get_cookie(COOKIE)
    return cookie and cookie.value


def text_of(answer):
    return " ".join(Page(answer.text).text.split())


class Page(HTMLParser):
    """A page as far as the tests look at it."""

    VOID = ("meta", "link", "input", "br", "path", "rect")

    def __init__(self, html):
        super().__init__()
        self.elements, self.open, self.text = [], [], ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        element = {"tag": tag, "inside": [opened["tag"] for opened in self.open], "text": "", **dict(attributes)}
        self.elements.append(element)
        if tag not in self.VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data):
        if "head" not in [opened["tag"] for opened in self.open]:
            self.text += data
        for opened in self.open:
            opened["text"] += data

    def all(self, tag, **attributes):
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        return [
            element
            for element in self.elements
            if element["tag"] == tag and wanted.items() <= {**dict.fromkeys(wanted), **element}.items()
        ]

    def one(self, tag, **attributes):
        (found,) = self.all(tag, **attributes)
        return found


def session_ids(answer):
    return [element["value"] for element in Page(answer.text).all("input", name="session_id")]


# Signing in and out


def test_a_visitor_is_led_to_the_form(browser):
    answer = browser().get("/")
    assert (answer.status_code, answer.location) == (303, "/sign-in")
    answer = browser().get("/sign-in")
    assert answer.status_code == 200
    assert "no password" in text_of(answer)
    assert "was ended" not in answer.text


def test_a_visitor_leaves_nothing_in_redis_and_gets_no_cookie(browser, redis_client):
    for path in ("/", "/sign-in", "/nowhere", "/overview", "/static/style.css", "/api/me"):
        with browser().get(path) as answer:
            assert "Set-Cookie" not in answer.headers
    assert redis_client.keys() == []


def test_who_signs_in_sees_the_device(browser):
    page = browser("ada").get("/")
    assert "ada is signed in on this device only." in text_of(page)
    assert "Firefox on Linux This device" in text_of(page)
    assert "127.0.0.1" in text_of(page)
    assert "just now" in text_of(page)


def test_signing_in_gives_a_cookie_that_scripts_and_other_sites_do_not_get(browser):
    answer = browser().post("/sign-in", data={"name": "ada"})
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("name", ["", "   ", "a" * 65, "two\nlines", "tab\there", "nul\0", "\u202eright to left"])
def test_a_name_that_cannot_be_one_is_refused_in_words_beside_the_field(browser, sessions, name):
    answer = browser().post("/sign-in", data={"name": name})
    assert answer.status_code == 422
    page = Page(answer.text)
    field = page.one("input", name="name")
    assert field["aria-invalid"] == "true"
    assert page.one("p", id="name-error")["text"] == "A name has 1 to 64 visible characters."
    assert "name-error" in field["aria-describedby"].split()
    assert sessions.count() == 0


@pytest.mark.parametrize(
    "name", ["Ada Lovelace", "o'neill", '"; rm -rf /', "<b>&amp;", "日本語", "🦊" * 64, "{{ 7*7 }}", "٤"]
)
def test_any_other_name_signs_in_and_is_shown_as_it_is(browser, sessions, name):
    page = browser(f"  {name} ").get("/")
    assert f"{name} is signed in" in Page(page.text).text
    assert sessions.get_all_users() == [name]


def test_who_is_signed_in_does_not_get_the_form(browser):
    answer = browser("ada").get("/sign-in")
    assert (answer.status_code, answer.location) == (303, "/")


def test_a_second_sign_in_of_one_browser_leaves_one_session(browser, sessions):
    client = browser("ada")
    first = token_of(client)
    client.post("/sign-in", data={"name": "grace"})
    assert token_of(client) != first
    assert sessions.get_all_users() == ["grace"]
    client.post("/sign-in", data={"name": "grace"})
    assert sessions.count() == 1


def test_signing_out_ends_the_session_and_says_so(browser, sessions):
    client = browser("ada")
    answer = client.post("/sign-out", follow_redirects=True)
    assert answer.status_code == 200
    assert "You are signed out." in text_of(answer)
    assert "was ended" not in answer.text
    assert token_of(client) is None
    assert sessions.count() == 0


def test_signing_out_everywhere_ends_every_session_of_this_user_only(browser, sessions):
    client, phone, other = browser("ada"), browser("ada", PHONE), browser("grace")
    assert "You are signed out." in client.post("/sign-out-everywhere", follow_redirects=True).text
    assert "was ended" in phone.get("/", follow_redirects=True).text
    assert other.get("/").status_code == 200
    assert sessions.count() == 1


# Devices


def test_both_devices_are_listed_this_one_first_and_marked(browser):
    first, second = browser("ada"), browser("ada", PHONE)
    for client, names in (
        (first, "Firefox on Linux This device|Chrome on Android"),
        (second, "Chrome on Android This device|Firefox on Linux"),
    ):
        page = Page(client.get("/").text)
        assert [
            " ".join(heading["text"].split()) for heading in page.all("h2") if "li" in heading["inside"]
        ] == names.split("|")
        assert len(page.all("li", class_="this")) == 1


def test_the_other_device_is_ended_and_says_so_at_its_next_click(browser):
    client, other = browser("ada"), browser("ada", PHONE)
    (other_id,) = session_ids(client.get("/"))
    answer = client.post("/end", data={"session_id": other_id}, follow_redirects=True)
    assert "That device is signed out at its next click." in text_of(answer)
    assert "this device only" in text_of(answer)
    assert "next click" not in client.get("/").text  # it is said once

    for click in (other.get, other.post):
        answer = click("/sign-out" if click == other.post else "/overview", follow_redirects=True)
        assert answer.status_code == 200
        assert len(answer.history) == 1
        assert "This session was ended." in text_of(answer)
        assert Page(answer.text).one("form")["action"] == "/sign-in"
    assert other.post("/sign-in", data={"name": "ada"}, follow_redirects=True).status_code == 200
    assert "2 devices" in text_of(other.get("/"))


def test_a_session_of_somebody_else_cannot_be_ended_as_a_device(browser, sessions):
    client, other = browser("ada"), browser("grace")
    (other_id,) = sessions.get_user_sessions("grace")
    answer = client.post("/end", data={"session_id": other_id}, follow_redirects=True)
    assert "had ended before" in text_of(answer)
    assert other.get("/").status_code == 200


def test_the_own_session_ended_as_a_device_is_a_sign_out(browser, sessions):
    client = browser("ada")
    answer = client.post("/end", data={"session_id": sessions.get_all_sessions()[0]}, follow_redirects=True)
    assert "You are signed out." in text_of(answer)
    assert sessions.count() == 0


def test_all_other_devices_are_ended(browser, sessions):
    client, others = browser("ada"), [browser("ada", PHONE) for _ in range(3)]
    bystander = browser("grace")
    answer = client.post("/end-others", follow_redirects=True)
    assert "Ended 3 other sessions." in text_of(answer)
    assert all("was ended" in other.get("/", follow_redirects=True).text for other in others)
    assert bystander.get("/").status_code == 200
    assert sessions.count() == 2


def test_the_time_of_the_last_access_can_be_counted_on(browser, sessions):
    client = browser("ada")
    sessions.create("ada")
    times = Page(client.get("/").text).all("time", class_="ago")
    assert len(times) == 2
    for element in times:
        assert 0 <= float(element["data-idle"]) < 60
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", element["datetime"])


def test_many_devices_of_one_user_are_cut_and_it_is_said(browser, sessions):
    for _ in range(120):
        sessions.create("ada")
    page = browser("ada").get("/")
    assert len(session_ids(page)) == 99
    assert "The 100 used last are shown, of 121." in text_of(page)


# The overview


def test_the_overview_counts_and_lists_everybody(browser):
    client = browser("ada")
    browser("ada", PHONE)
    browser("grace", "curl/8.5.0")
    page = Page(client.get("/overview").text)
    counts = [(entry["text"].strip(), name["text"]) for entry, name in zip(page.all("dd"), page.all("dt"), strict=True)]
    assert counts == [
        ("3", "Live sessions"),
        ("2", "Users signed in"),
        ("3", "Sessions activein the last 60 seconds"),
        ("2", "Users activein the last 60 seconds"),
    ]
    rows = [" ".join(row["text"].split()) for row in page.all("tr") if "tbody" in row["inside"]]
    assert len(rows) == 3
    assert any(row.startswith("ada You, here Firefox on Linux 127.0.0.1") for row in rows)
    assert any(row.startswith("grace curl 127.0.0.1") for row in rows)
    users = Page(client.get("/overview?show=users").text)
    rows = [" ".join(row["text"].split()) for row in users.all("tr") if "tbody" in row["inside"]]
    assert sorted(rows) == ["ada You 2 End all sessions of ada", "grace 1 End all sessions of grace"]


def test_those_active_in_the_last_minute_are_listed_apart(redis_url, clock):
    app = create_app(redis_url, REDISESS_CLOCK=clock)
    with app.extensions["redisess"].manager as manager:
        manager.create("grace")
        manager.create("edsger")
        clock.advance(61)
        manager.create("edsger")
        client = app.test_client()
        client.post("/sign-in", data={"name": "ada"})
        everybody, active = client.get("/overview"), client.get("/overview?active=60")
        assert len(session_ids(everybody)) == 4
        assert len(session_ids(active)) == 2
        assert "grace" not in active.text
        users = client.get("/overview?show=users&active=60")
        assert sorted(element["value"] for element in Page(users.text).all("input", name="user_id")) == [
            "ada",
            "edsger",
        ]
        assert [entry["text"] for entry in Page(active.text).all("dd")] == ["4", "3", "2", "2"]


def test_a_session_killed_in_the_overview_is_out_at_its_next_click(browser, sessions):
    client, other = browser("ada"), browser("grace")
    (other_id,) = sessions.get_user_sessions("grace")
    answer = client.post("/overview/end?active=60", data={"session_id": other_id})
    assert answer.location == "/overview?active=60"
    assert "signed out at its next click" in client.get("/overview").text
    assert "This session was ended." in other.get("/", follow_redirects=True).text
    again = client.post("/overview/end", data={"session_id": other_id}, follow_redirects=True)
    assert "had ended before" in again.text


def test_a_user_killed_in_the_overview_is_out_everywhere(browser, sessions):
    client, others = browser("ada"), [browser("grace"), browser("grace", PHONE)]
    answer = client.post("/overview/end-user?show=users", data={"user_id": "grace"})
    assert answer.location == "/overview?show=users"
    assert "Ended 2 sessions of grace." in client.get("/overview").text
    assert all("This session was ended." in other.get("/", follow_redirects=True).text for other in others)
    assert sessions.get_all_users() == ["ada"]


@pytest.mark.parametrize("own", ["session", "user"])
def test_who_kills_the_own_session_or_user_is_signed_out(browser, sessions, own):
    client = browser("ada")
    if own == "session":
        answer = client.post(
            "/overview/end", data={"session_id": sessions.get_all_sessions()[0]}, follow_redirects=True
        )
    else:
        answer = client.post("/overview/end-user", data={"user_id": "ada"}, follow_redirects=True)
    assert "You are signed out." in text_of(answer)
    assert sessions.count() == 0


def test_an_anonymous_session_of_others_is_listed_and_can_be_ended(browser, sessions):
    client = browser("ada")
    anonymous = sessions.create(None)
    assert "not signed in" in client.get("/overview").text
    client.post("/overview/end", data={"session_id": anonymous.session_id})
    assert not sessions.exists(anonymous.session_id)


@pytest.mark.parametrize(
    "query", ["page=0", "page=-3", "page=x", "page=" + "9" * 5000, "active=1", "show=everything&page=99"]
)
def test_an_address_that_asks_for_nonsense_gets_the_overview(browser, query):
    assert browser("ada").get(f"/overview?{query}").status_code == 200


def test_ten_thousand_sessions_do_not_break_the_overview(browser, sessions, wire):
    for number in range(10_000):
        sessions.create(f"user{number % 5000}", user_agent=FIREFOX, ip="127.0.0.1")
    client = browser("ada")
    with wire() as seen:
        page = client.get("/overview")
    assert page.status_code == 200
    assert len(page.data) < 150_000
    assert len(seen) < 80
    assert f"1{TO}50 of 10,001" in text_of(page)
    assert Page(page.text).one("a", rel="next")["href"] == "/overview?page=2"
    last = client.get("/overview?page=10000")
    assert f"10,001{TO}10,001 of 10,001" in text_of(last)
    assert len(session_ids(last)) == 1
    assert not Page(last.text).all("a", rel="next")
    users = client.get("/overview?show=users&page=2")
    assert f"51{TO}100 of 5,001" in text_of(users)


def test_of_too_many_sessions_to_sort_the_first_come_unsorted(browser, sessions, monkeypatch):
    monkeypatch.setattr("redisess_cli.demo.lists.SORTABLE", 120)
    for number in range(130):
        sessions.create(f"user{number}")
    client = browser("ada")
    pages = [client.get(f"/overview?page={number}") for number in (1, 2, 3, 4)]
    assert "too many to sort" in text_of(pages[0])
    assert [len(session_ids(page)) for page in pages] == [50, 50, 31, 31]
    assert len({one for page in pages for one in session_ids(page)}) == 131
    assert f"1{TO}50 of 131" in text_of(client.get("/overview?show=users"))


# Programs


def test_a_program_signs_in_for_a_token_and_sends_it_in_a_header(browser, app):
    program = app.test_client(use_cookies=False)
    program.environ_base["HTTP_USER_AGENT"] = "curl/8.5.0"
    answer = program.post("/api/sign-in", json={"name": "ada"})
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in answer.headers
    (token,) = answer.json.values()
    bearer = {"Authorization": f"Bearer {token}"}
    client = browser("ada")
    known = program.get("/api/me", headers=bearer).json
    assert known["user"] == "ada"
    assert sorted((device["client"], device["this"]) for device in known["devices"]) == [
        ("Firefox on Linux", False),
        ("curl", True),
    ]
    assert token not in str(known)
    assert "curl" in text_of(client.get("/"))

    (program_id,) = session_ids(client.get("/"))
    client.post("/end", data={"session_id": program_id})
    answer = program.get("/api/me", headers=bearer)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].lower().startswith("bearer")
    assert answer.json == {"error": "Sign in to see this."}


def test_a_program_signs_out(app, sessions):
    program = app.test_client(use_cookies=False)
    token = program.post("/api/sign-in", json={"name": "ada"}).json["token"]
    answer = program.post("/api/sign-out", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.data) == (204, b"")
    assert sessions.count() == 0
    assert program.post("/api/sign-out", headers={"Authorization": f"Bearer {token}"}).status_code == 401


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"json": {}}, 400),
        ({"json": []}, 400),
        ({"json": {"name": 7}}, 400),
        ({"json": {"name": "a\nb"}}, 400),
        ({"data": "{", "content_type": "application/json"}, 400),
        ({"data": {"name": "ada"}}, 415),
        ({"json": {"name": "a" * 20_000}}, 413),
    ],
)
def test_what_a_program_sends_wrongly_is_said_so_in_json(app, sessions, sent, status):
    answer = app.test_client().post("/api/sign-in", **sent)
    assert answer.status_code == status
    assert isinstance(answer.json["error"], str)
    assert sessions.count() == 0


@pytest.mark.parametrize(("path", "status"), [("/api/nothing", 404), ("/api/sign-in", 405)])
def test_a_program_is_answered_in_json_always(app, path, status):
    answer = app.test_client().get(path)
    assert answer.status_code == status
    assert answer.is_json


def lines_on(answer):
    return [line["text"].strip() for line in Page(answer.text).all("span", class_="line")]


@pytest.mark.parametrize("name", ["ada", "o'neill", '$(touch x) `id` "; \\', "日本語"])
def test_the_lines_for_a_terminal_hold_the_name_as_one_word_of_a_shell(browser, name):
    page = browser(name).get("/")
    words = shlex.split(lines_on(page)[0].removeprefix("TOKEN=$(").partition(" | cut")[0])
    sent = words[words.index("-d") + 1]
    assert browser().post("/api/sign-in", data=sent, content_type="application/json").status_code == 200
    assert f"{name} is signed in on 2 devices" in Page(browser(name).get("/").text).text.replace("3", "2")
    assert lines_on(page)[1:] == [
        'curl -H "Authorization: Bearer $TOKEN" http://localhost/api/me',
        'curl -X POST -H "Authorization: Bearer $TOKEN" http://localhost/api/sign-out',
    ]


# What must not happen


def test_no_page_shows_a_token(browser):
    client, other = browser("ada"), browser("ada", PHONE)
    tokens = [token_of(client), token_of(other)]
    assert all(token_shard(token, 1) == 0 for token in tokens)
    for path in ("/", "/overview", "/overview?show=users", "/api/me", "/nowhere"):
        answer = client.get(path)
        assert not any(token in answer.text for token in tokens)
        assert not re.search(r"\b1[a-z2-7]{28}\b", answer.text)


POSTS = (
    "/sign-in",
    "/sign-out",
    "/sign-out-everywhere",
    "/end",
    "/end-others",
    "/overview/end",
    "/overview/end-user",
    "/api/sign-in",
    "/api/sign-out",
)


def test_every_change_is_a_post(app):
    methods = {
        str(rule): rule.methods - {"HEAD", "OPTIONS"} for rule in app.url_map.iter_rules() if rule.endpoint != "static"
    }
    assert {rule for rule, allowed in methods.items() if "POST" in allowed} | {"/sign-in"} == set(POSTS)
    assert all(allowed <= {"GET", "POST"} for allowed in methods.values())


FOREIGN = (
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},  # another port of this machine
    {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost"},
    {"Sec-Fetch-Site": "nonsense"},
    {"Origin": "http://evil.example"},
    {"Origin": "http://localhost:5000"},
    {"Origin": "https://localhost"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "null"},
)


@pytest.mark.parametrize("path", POSTS)
def test_a_form_of_another_site_is_refused_and_does_nothing(browser, sessions, path):
    client = browser("ada")
    browser("ada")
    (other_id,) = session_ids(client.get("/"))
    data = {"name": "mallory", "session_id": other_id, "user_id": "ada"}
    for headers in FOREIGN:
        answer = client.post(path, data=data, headers=headers)
        assert answer.status_code == 403
        assert "another site" in answer.text
        assert "Set-Cookie" not in answer.headers
    assert sessions.count_for_user("ada") == sessions.count() == 2


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://localhost"},
        {},
    ],
)
def test_the_own_forms_and_programs_are_heard(browser, headers):
    assert browser().post("/sign-in", data={"name": "ada"}, headers=headers).status_code == 303


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "192.0.2.1:8000"])
def test_a_foreign_name_for_this_machine_gets_nothing(browser, sessions, host):
    answer = browser().post("/sign-in", data={"name": "ada"}, headers={"Host": host})
    assert answer.status_code == 400
    assert "127.0.0.1 and localhost only" in answer.text
    assert sessions.count() == 0


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:9", "LOCALHOST"])
def test_this_machines_own_names_are_served(browser, host):
    assert browser().get("/sign-in", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/", "/sign-in", "/overview", "/nowhere", "/static/style.css", "/static/nothing", "/api/me", "/api/nothing"],
)
def test_every_answer_has_the_headers_that_keep_foreign_things_out(browser, path):
    for client in (browser(), browser("ada")):
        with client.get(path) as answer:
            headers = answer.headers
        policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
        assert policy.pop("default-src") == policy.pop("base-uri") == policy.pop("frame-ancestors") == "'none'"
        assert set(policy) == {"style-src", "script-src", "img-src", "form-action"}
        assert set(policy.values()) == {"'self'"}
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert len(headers.getlist("Content-Security-Policy")) == 1
        assert headers["Cache-Control"] == ("no-cache" if path == "/static/style.css" else "no-store")


@pytest.mark.parametrize("path", ["/end", "/overview/end", "/overview/end-user"])
@pytest.mark.parametrize("data", [{}, {"session_id": "", "user_id": ""}])
def test_a_form_without_its_field_is_a_bad_request(browser, path, data):
    assert browser("ada").post(path, data=data).status_code == 400


@pytest.mark.parametrize("value", ["x", "ä" * 300, "{}", "s" * 28, "s\ud800"])
def test_what_is_no_session_and_no_user_ends_nothing(browser, sessions, value):
    client = browser("ada")
    for path in ("/end", "/overview/end", "/overview/end-user"):
        answer = client.post(
            path, data={"session_id": value.encode("utf-8", "replace"), "user_id": value.encode("utf-8", "replace")}
        )
        assert answer.status_code in (303, 400)
    assert sessions.count() == 1


# Faults


def test_an_address_that_does_not_exist_is_a_page(browser):
    for client in (browser(), browser("ada")):
        answer = client.get("/nowhere")
        assert answer.status_code == 404
        assert "There is no such page" in text_of(answer)


def test_redis_away_is_a_page_that_says_so_and_signs_nobody_out(start_server):
    server = start_server()
    app = create_app(f"{server.url}?socket_timeout=0.2")
    with app.extensions["redisess"].manager:
        client = app.test_client()
        client.post("/sign-in", data={"name": "ada"})
        server.pause()
        answers = [client.get("/"), client.post("/sign-out"), client.post("/sign-in", data={"name": "grace"})]
        program = client.get("/api/me")
        server.resume()
        for answer in (*answers, program):
            assert answer.status_code == 503
            assert answer.headers["Retry-After"] == "5"
            assert "Set-Cookie" not in answer.headers
            assert answer.headers["Content-Security-Policy"]
            assert "You are still signed in" in answer.text
        assert all("Redis cannot be reached" in text_of(answer) for answer in answers)
        assert program.is_json
        assert client.get("/").status_code == 200


def test_redis_going_away_within_a_request_is_the_same_page_in_the_same_style(redis_url, monkeypatch):
    from redisess_core import StoreUnavailable
    from redisess_flask import FlaskSession

    app = create_app(redis_url)
    with app.extensions["redisess"].manager:
        client = app.test_client()
        monkeypatch.setattr(FlaskSession, "changes", lambda _: (_ for _ in ()).throw(StoreUnavailable("gone")))
        answer = client.post("/sign-in", data={"name": "ada"})
        assert answer.status_code == 503
        assert answer.headers["Content-Security-Policy"]
        assert Page(answer.text).all("link", rel="stylesheet")


def test_a_fault_of_ours_is_a_page_too(app, browser, monkeypatch):
    client = browser("ada")
    monkeypatch.setattr("redisess_cli.demo.pages.curl_lines", lambda _: 1 / 0)
    monkeypatch.setattr(app.logger, "disabled", True)
    answer = client.get("/")
    assert answer.status_code == 500
    assert "Something went wrong here" in text_of(answer)
    assert "ZeroDivisionError" not in answer.text


# The pages' making


PAGES = ("/sign-in", "/", "/overview", "/overview?show=users", "/nowhere")


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_well_made(browser, path):
    other = browser("ada", PHONE)
    assert other.get("/").status_code == 200
    page = Page((browser() if path == "/sign-in" else browser("ada")).get(path).text)
    assert page.one("html")["lang"] == "en"
    assert "width=device-width" in page.one("meta", name="viewport")["content"]
    assert page.one("title")["text"].endswith("redisess demo")
    for landmark in ("header", "main", "footer", "h1"):
        page.one(landmark)
    skip = next(element for element in page.elements if element["tag"] == "a")
    assert skip["href"] == f"#{page.one('main')['id']}"
    identities = [element["id"] for element in page.elements if "id" in element]
    assert len(identities) == len(set(identities))
    labels = {label["for"] for label in page.all("label")}
    for field in page.all("input"):
        assert field.get("type") == "hidden" or field["id"] in labels
    for element in page.elements:
        assert element["tag"] not in ("style", "img", "iframe")
        assert not any(name == "style" or name.startswith("on") for name in element)
        for reference in ("aria-labelledby", "aria-describedby"):
            assert set((element.get(reference) or "").split()) <= set(identities)
        for address in ("src", "href", "action"):
            assert (element.get(address) or "/").startswith(("/", "#"))
        if element["tag"] == "script":
            assert element["text"].strip() == ""
    for form in page.all("form"):
        assert form["method"] == "post"


def test_buttons_of_one_page_differ_by_name(browser):
    client = browser("ada")
    browser("ada", PHONE)
    browser("grace", "curl/8.5.0")
    for path in ("/", "/overview", "/overview?show=users"):
        names = [" ".join(button["text"].split()) for button in Page(client.get(path).text).all("button")]
        assert all(names)
        assert len(names) == len(set(names))


def test_the_own_namespace_and_no_secret_of_the_url_is_shown(start_server):
    server = start_server("--requirepass", "geheim")
    app = create_app(server.url)
    with app.extensions["redisess"].manager:
        answer = app.test_client().get("/sign-in")
    assert "geheim" not in answer.text
    assert f"redisess-demo at redis://127.0.0.1:{server.port}/0" in text_of(answer)


def test_the_demos_manager_is_the_extensions_own(sessions):
    assert isinstance(sessions, SessionManager)
    assert sessions.namespace == "redisess-demo"
