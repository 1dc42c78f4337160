from __future__ import annotations

import dataclasses
import re
from http.cookies import SimpleCookie

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redisess_core.web.cookie import CookiePolicy
from redisess_core.web.transport import (
    MAX_COOKIE_CHARACTERS,
    Found,
    Source,
    Transport,
    asgi_headers,
    cache_control_for_token,
    merge_vary,
    wsgi_headers,
)

TOKEN = "0aa" + "abcdefghijklmnopqrstuvwxyz234567"
OTHER = "0ab" + "765432zyxwvutsrqponmlkjihgfedcba"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVPmB92K27uhbUJU1p1r_wW1gFWFOEjXk"
NAME = "__Host-session"

garbage = st.binary(max_size=20).map(lambda raw: raw.decode("latin-1"))
meaning = st.sampled_from(
    [
        NAME,
        f"{NAME}={TOKEN}",
        f"{NAME}=",
        TOKEN,
        f"Bearer {TOKEN}",
        "Bearer",
        "; ",
        ";",
        ",",
        "=",
        '"',
        " ",
        "\xa0",
        "\u017f",
    ]
)
lines = st.lists(st.lists(meaning | garbage, max_size=8).map("".join), max_size=3)
tokens = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyz0123456789"), min_size=20, max_size=40)


def is_token(text):
    return re.fullmatch(r"[a-z0-9]{20,40}", text) is not None


def headers_of(**sent):
    """A request's headers: a str is sent once, a list several times; `_` stands for `-`."""
    lines = {name.replace("_", "-").lower(): [v] if isinstance(v, str) else v for name, v in sent.items()}
    return lambda name: lines.get(name.lower(), [])


def transport(**options):
    return Transport(is_token, **{"cookie_name": NAME, **options})


def find(options=None, **sent):
    found = transport(**(options or {})).find(headers_of(**sent))
    return found.token, found.source


NOTHING = (None, Source.NONE)
IN_COOKIE = (TOKEN, Source.COOKIE)
IN_HEADER = (TOKEN, Source.HEADER)


# The cookie


@pytest.mark.parametrize(
    "cookie",
    [
        f"{NAME}={TOKEN}",
        f"theme=dark; {NAME}={TOKEN}; lang=de",
        f"theme=dark;{NAME}={TOKEN};lang=de",
        f"; ;;\t {NAME}={TOKEN} \t;",
        f"garbage; =; =x; {NAME}={TOKEN}; {NAME}",
        f"session={OTHER}; {NAME}={TOKEN}; {NAME}2={OTHER}; x{NAME}={OTHER}",
        f'a="b, c"; {NAME}={TOKEN}',
    ],
)
def test_a_token_is_found_among_other_cookies(cookie):
    assert find(cookie=cookie) == IN_COOKIE


@pytest.mark.parametrize("cookie", ["", ";", "=", NAME, f"={TOKEN}", f"={NAME}={TOKEN}", f"theme={TOKEN}", TOKEN])
def test_without_a_cookie_of_our_name_there_is_nothing(cookie):
    found = transport().find(headers_of(cookie=cookie))
    assert found == Found(None, Source.NONE, cookie_present=False)


def test_without_any_header_there_is_nothing():
    assert transport().find(headers_of()) == Found(None, Source.NONE, cookie_present=False)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "short",
        JWT,
        f"{TOKEN}=",
        f"={TOKEN}",
        f"{TOKEN}, a=b",
        f" {TOKEN}",
        f"{TOKEN}\xa0",
        f"{TOKEN}\x85",
    ],
)
def test_a_value_of_another_form_is_no_token_but_a_cookie_that_is_there(value):
    found = transport().find(headers_of(cookie=f"{NAME}={value}"))
    assert found == Found(None, Source.NONE, cookie_present=True)


def test_a_value_in_double_quotes_stands_as_it_was_sent():
    assert find(cookie=f'{NAME}="{TOKEN}"') == NOTHING


@pytest.mark.parametrize("second", [TOKEN, OTHER, "", "garbage"])
@pytest.mark.parametrize("template", ["{0}; {1}", "{1}; {0}", "{0};x=y;{1}"])
def test_two_cookies_of_the_name_are_no_token(second, template):
    cookie = template.format(f"{NAME}={TOKEN}", f"{NAME}={second}")
    found = transport().find(headers_of(cookie=cookie))
    assert found == Found(None, Source.NONE, cookie_present=True)


def test_two_cookies_of_the_name_in_two_headers_are_no_token():
    assert find(cookie=[f"{NAME}={TOKEN}", f"{NAME}={TOKEN}"]) == NOTHING


def test_http_2_may_send_each_cookie_in_a_header_of_its_own():
    assert find(cookie=["theme=dark", f"{NAME}={TOKEN}", "lang=de"]) == IN_COOKIE


def test_two_headers_joined_by_a_comma_never_give_the_first_of_two_tokens():
    assert find(cookie=f"{NAME}={TOKEN},{NAME}={OTHER}") == NOTHING


def test_a_comma_in_a_neighbours_cookie_does_not_begin_one_of_ours():
    assert find(cookie=f"planted=x, {NAME}={TOKEN}") == NOTHING
    assert find(cookie=f"planted=x,{NAME}={OTHER}; {NAME}={TOKEN}") == IN_COOKIE


@pytest.mark.parametrize(
    "space", ["\xa0", "\x85", "\x0b", "\x0c", "\x1c", "\x1f", "\u2003", "\ufeff", "\x00", "\r", "\n"]
)
def test_ghsa_r5rp_j6wh_rvv4_only_space_and_tab_are_trimmed(space):
    assert space != " "
    for disguised in (f"{space}{NAME}={TOKEN}", f"{NAME}{space}={TOKEN}", f"a=b; {space}{NAME}={TOKEN}"):
        found = transport().find(headers_of(cookie=disguised))
        assert found == Found(None, Source.NONE, cookie_present=False)
    assert find(cookie=f"{space}{NAME}={OTHER}; {NAME}={TOKEN}") == IN_COOKIE


@pytest.mark.parametrize("name", [f"{NAME} ", f"{NAME}\t", NAME.lower(), NAME.upper(), f'"{NAME}"', "session"])
def test_ghsa_r5rp_j6wh_rvv4_the_name_is_matched_exactly_as_sent(name):
    found = transport().find(headers_of(cookie=f"{name}={TOKEN}"))
    assert found == Found(None, Source.NONE, cookie_present=False)


@pytest.mark.parametrize("lines", [1, 2, 64])
def test_cookies_are_read_up_to_a_bound(lines):
    ours = f"{NAME}={TOKEN};"
    padding = MAX_COOKIE_CHARACTERS - len(ours)
    cut = [("a=b;" * padding)[:padding][i::lines] for i in range(lines - 1)]
    within = [ours, *cut, "x" * (padding - sum(map(len, cut)))]
    assert sum(map(len, within)) == MAX_COOKIE_CHARACTERS
    assert find(cookie=within) == IN_COOKIE
    assert transport().find(headers_of(cookie=[*within, "x"])) == Found(None, Source.NONE, cookie_present=False)


# The header


@pytest.mark.parametrize("value", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER   {TOKEN}", f" Bearer {TOKEN}\t"])
def test_a_bearer_token_is_found(value):
    assert find(authorization=value) == IN_HEADER


def test_the_header_comes_before_the_cookie():
    found = transport().find(headers_of(authorization=f"Bearer {TOKEN}", cookie=f"{NAME}={OTHER}"))
    assert found == Found(TOKEN, Source.HEADER, cookie_present=True)


def test_a_header_client_may_have_no_cookie():
    found = transport().find(headers_of(authorization=f"Bearer {TOKEN}", cookie=f"theme={OTHER}"))
    assert found == Found(TOKEN, Source.HEADER, cookie_present=False)


@pytest.mark.parametrize(
    "value",
    [
        "", "Bearer", "Bearer ", "Bearer short", f"Bearer {JWT}", f"Basic {TOKEN}", f"Token {TOKEN}", TOKEN,
        f"Bearer{TOKEN}", f"Bearer\t{TOKEN}", f"Bearer\xa0{TOKEN}", f"Bearer \xa0{TOKEN}", f"Bearer {TOKEN} x",
        f'Bearer "{TOKEN}"', f"Bearer {TOKEN},Bearer {TOKEN}", f"Bearer {TOKEN}, Basic abc",
        f"Basic abc,Bearer {TOKEN}", f"\xa0Bearer {TOKEN}", f"Bearer {TOKEN}\xa0", "\x00", "x" * 1_000_000,
    ],
)  # fmt: skip
def test_somebody_elses_authorization_is_ignored_and_the_cookie_read(value):
    assert find(authorization=value) == NOTHING
    assert find(authorization=value, cookie=f"{NAME}={TOKEN}") == IN_COOKIE


@pytest.mark.parametrize("second", [f"Bearer {OTHER}", f"Bearer {TOKEN}", "Basic abc", ""])
def test_two_authorization_headers_are_no_token_and_the_cookie_is_read(second):
    both = [f"Bearer {TOKEN}", second]
    assert find(authorization=both) == NOTHING
    assert find(authorization=both[::-1]) == NOTHING
    assert find(authorization=both, cookie=f"{NAME}={TOKEN}") == IN_COOKIE


def test_only_the_header_is_tried_when_it_has_a_tokens_form():
    tried = []

    def trying(text):
        tried.append(text)
        return is_token(text)

    both = headers_of(authorization=f"Bearer {TOKEN}", cookie=f"{NAME}={OTHER}")
    assert Transport(trying, NAME).find(both).token == TOKEN
    assert tried == [TOKEN]


def test_another_header_is_a_token_without_a_scheme():
    options = {"header": "X-Session-Token"}
    assert find(options, x_session_token=TOKEN) == IN_HEADER
    assert find(options, x_session_token=f" {TOKEN}\t") == IN_HEADER
    assert find(options, x_session_token=f"Bearer {TOKEN}") == NOTHING
    assert find(options, x_session_token=[TOKEN, TOKEN]) == NOTHING
    assert find(options, x_session_token=JWT, cookie=f"{NAME}={TOKEN}") == IN_COOKIE


def test_with_another_header_authorization_is_not_read():
    assert find({"header": "X-Session-Token"}, authorization=f"Bearer {TOKEN}") == NOTHING


def test_authorization_is_a_bearer_header_in_any_case():
    assert find({"header": "AUTHORIZATION"}, authorization=f"Bearer {TOKEN}") == IN_HEADER
    assert find({"header": "authorization"}, authorization=TOKEN) == NOTHING


def test_without_a_header_only_the_cookie_is_read():
    sent = {"authorization": f"Bearer {OTHER}", "cookie": f"{NAME}={TOKEN}"}
    assert find({"header": None}, **sent) == IN_COOKIE
    assert find({"header": None}, authorization=f"Bearer {TOKEN}") == NOTHING


def test_asvs_14_2_1_nothing_but_the_two_headers_is_asked_for():
    asked = []

    def recording(name):
        asked.append(name)
        return ()

    transport().find(recording)
    assert sorted(asked) == ["Authorization", "Cookie"]


def test_cve_2023_20866_a_result_does_not_show_its_token():
    found = transport().find(headers_of(cookie=f"{NAME}={TOKEN}"))
    assert found.token == TOKEN
    assert TOKEN not in f"{found!r} {found}"
    assert "Source.COOKIE" in repr(found)


@given(sent=st.fixed_dictionaries({}, optional={"cookie": lines, "authorization": lines}))
def test_no_garbage_raises_or_becomes_a_token(sent):
    found = transport().find(headers_of(**sent))
    match found.source:
        case Source.NONE:
            assert found.token is None
        case Source.HEADER:
            assert is_token(found.token)
            assert found.token in sent["authorization"][0]
        case Source.COOKIE:
            assert found.cookie_present
            assert is_token(found.token)
            assert f"{NAME}={found.token}" in ";".join(sent["cookie"])
            twice = {**sent, "cookie": [*sent["cookie"], f"{NAME}={found.token}"]}
            assert transport().find(headers_of(**twice)) == Found(None, Source.NONE, cookie_present=True)


@given(
    token=tokens,
    others=st.dictionaries(st.sampled_from(["a", "theme", "session2"]), st.text("abc123%", max_size=9)),
)
@pytest.mark.parametrize("name", ["__Host-session", "session", "sid.1"])
def test_a_token_that_was_set_is_found_again(name, token, others):
    jar = SimpleCookie(others)
    jar.load(CookiePolicy(name).set_header(token, max_age=60))
    cookie = "; ".join(f"{key}={morsel.coded_value}" for key, morsel in jar.items())
    found = Transport(is_token, name).find(headers_of(cookie=cookie))
    assert found == Found(token, Source.COOKIE, cookie_present=True)


# How it is made


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"is_token": None}, TypeError, "is_token is None; wanted a callable"),
        ({"cookie_name": ""}, ValueError, "cookie_name is ''"),
        ({"cookie_name": "a=b"}, ValueError, "cookie_name is 'a=b'"),
        ({"cookie_name": None}, TypeError, "cookie_name is None; wanted str"),
        ({"header": ""}, ValueError, "header is ''"),
        ({"header": "X-Token: "}, ValueError, "header is 'X-Token: '"),
        ({"header": False}, TypeError, "header is False; wanted str"),
        ({"header": "cookie"}, ValueError, "header is 'cookie'; wanted another name"),
    ],
)
def test_a_transport_that_cannot_work_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        Transport(**{"is_token": is_token, "cookie_name": NAME, **options})


def test_transport_and_result_cannot_be_changed():
    for value, name in ((transport(), "header"), (Found(TOKEN, Source.COOKIE, cookie_present=True), "token")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, None)
        assert not hasattr(value, "__dict__")


# Servers


def test_a_wsgi_environ_is_read():
    environ = {
        "HTTP_COOKIE": f"{NAME}={TOKEN}",
        "HTTP_X_SESSION_TOKEN": OTHER,
        "Cookie": "no",
        "REQUEST_METHOD": "GET",
        "wsgi.version": (1, 0),
    }
    headers = wsgi_headers(environ)
    assert headers("Cookie") == (f"{NAME}={TOKEN}",)
    assert headers("x-session-token") == (OTHER,)
    assert headers("Authorization") == ()


def test_asgi_headers_are_read_as_often_as_they_come():
    raw = ((name, value) for name, value in [(b"cookie", b"a=b"), (b"host", b"x"), (b"cookie", b"\xa0c=d")])
    headers = asgi_headers(raw)
    assert headers("Host") == ["x"]
    assert headers("Cookie") == ["a=b", "\xa0c=d"]
    assert headers("Authorization") == []


@pytest.mark.parametrize("separator", ["; ", ";"])
def test_wsgi_and_asgi_find_the_same_in_the_same_cookies(separator):
    cookies = ["theme=dark", f"{NAME}={TOKEN}"]
    joined = wsgi_headers({"HTTP_COOKIE": separator.join(cookies)})
    apart = asgi_headers([(b"cookie", line.encode()) for line in cookies])
    assert transport().find(joined) == transport().find(apart) == Found(TOKEN, Source.COOKIE, cookie_present=True)


@pytest.mark.parametrize("separator", [",", ", "])
def test_wsgi_and_asgi_find_nothing_in_two_authorizations(separator):
    lines = [f"Bearer {TOKEN}", f"Bearer {OTHER}"]
    joined = wsgi_headers({"HTTP_AUTHORIZATION": separator.join(lines)})
    apart = asgi_headers([(b"authorization", line.encode()) for line in lines])
    assert transport().find(joined) == transport().find(apart) == Found(None, Source.NONE, cookie_present=False)


# Vary


@pytest.mark.parametrize(
    ("header", "source", "names"),
    [
        ("Authorization", Source.COOKIE, ("Cookie",)),
        ("Authorization", Source.NONE, ("Cookie",)),
        ("authorization", Source.NONE, ("Cookie",)),
        ("Authorization", Source.HEADER, ("Authorization",)),
        ("X-Session", Source.HEADER, ("X-Session",)),
        ("X-Session", Source.COOKIE, ("X-Session", "Cookie")),
        ("X-Session", Source.NONE, ("X-Session", "Cookie")),
        (None, Source.COOKIE, ("Cookie",)),
        (None, Source.NONE, ("Cookie",)),
    ],
)
def test_a_response_varies_on_where_the_token_could_have_been(header, source, names):
    assert transport(header=header).vary(source) == names


@pytest.mark.parametrize(
    ("existing", "merged"),
    [
        (None, "Cookie"),
        ("", "Cookie"),
        (" , ", "Cookie"),
        ("Accept", "Accept, Cookie"),
        ("Accept ,Accept-Language,", "Accept, Accept-Language, Cookie"),
        ("Cookie", "Cookie"),
        ("Accept,COOKIE", "Accept,COOKIE"),
        ("X-Cookie", "X-Cookie, Cookie"),
        ("*", "*"),
        ("Accept, *", "Accept, *"),
    ],
)
def test_cve_2023_30861_vary_is_merged(existing, merged):
    assert merge_vary(existing, "Cookie") == merged
    assert merge_vary(merged, "cookie") == merged


# Cache-Control


@pytest.mark.parametrize(
    "existing",
    [
        "no-store",
        "NO-STORE",
        "private",
        "Private, max-age=60",
        "max-age=0,no-store",
        'x="a", private',
        "public, private",
    ],
)
def test_a_cache_control_that_protects_the_token_stays(existing):
    assert cache_control_for_token(existing) == existing


@pytest.mark.parametrize(
    "existing",
    [
        None, "", "public", "public, max-age=31536000", "no-cache", 'no-cache="Set-Cookie"',
        'private="Set-Cookie"', "private=x", "no-store=x", "no-storey", "x-private", "no store",
        "\xa0private", 'x="no-store"', 'x="a, no-store, b"', 'x="a\\", private, "', 'x="\n, private, "',
        '"', 'x="a, no-store, b', 'x="a, private, b\\',
    ],
)  # fmt: skip
def test_cve_2023_30861_any_other_cache_control_becomes_no_store(existing):
    assert cache_control_for_token(existing) == "no-store"


@given(existing=st.text(st.sampled_from('ab",\\= \t')) | garbage)
def test_no_cache_control_raises(existing):
    assert cache_control_for_token(existing) in {existing, "no-store"}
