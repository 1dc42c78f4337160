from __future__ import annotations

import dataclasses
import time
from email.utils import parsedate_to_datetime
from http.cookies import SimpleCookie

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.http import parse_cookie

from redisess_core.web.cookie import CookiePolicy, check_name, default_name

TOKEN = "0aa" + "abcdefghijklmnopqrstuvwxyz234567"
NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT
DAY = 24 * 3600

INJECTIONS = [
    "\r\nX-Injected: 1",
    "\n",
    "\x00",
    "\x7f",
    "; Domain=evil.example",
    ";",
    ",",
    "\x85",
    "\u2028",
    "é",
]

VALUE_CHARACTERS = sorted({chr(code) for code in range(0x21, 0x7F)} - set('",;\\'))

values = st.text(st.sampled_from(VALUE_CHARACTERS), min_size=1, max_size=200)
pieces = st.lists(
    st.sampled_from(["a", "B9", ".com", "/", "-", "_", ";", ",", "=", " ", '"', "\r\n", "\x00", "\x7f", "é", "\u2028"]),
    max_size=3,
).map("".join)


def attributes_of(header: str) -> dict[str, str]:
    """What a browser reads after the first pair: names in lower case, values trimmed."""
    pairs = [part.partition("=") for part in header.split(";")[1:]]
    names = [name.strip().lower() for name, _, _ in pairs]
    assert len(set(names)) == len(names), "an attribute came twice"
    return {name: value.strip() for name, (_, _, value) in zip(names, pairs, strict=True)}


# The default, and the standards


def test_the_default_policy_writes_this_header():
    assert CookiePolicy("__Host-session").set_header(TOKEN) == (
        f"__Host-session={TOKEN}; Path=/; Secure; HttpOnly; SameSite=Lax"
    )


def test_every_attribute_has_its_place_in_the_header():
    policy = CookiePolicy(
        "sid",
        path="/app",
        domain="example.com",
        same_site="None",
        partitioned=True,
        http_only=True,
        secure=True,
    )
    assert policy.set_header(TOKEN, max_age=60, expires=NOW + 60, now=NOW) == (
        f"sid={TOKEN}; Expires=Tue, 14 Nov 2023 22:14:20 GMT; Max-Age=60; Domain=example.com; Path=/app; "
        "Secure; HttpOnly; SameSite=None; Partitioned"
    )


def test_a_policy_without_protection_says_nothing_of_it():
    policy = CookiePolicy("sid", secure=False, http_only=False, same_site=None)
    assert policy.set_header(TOKEN) == f"sid={TOKEN}; Path=/"


def test_asvs_3_3_1_the_default_is_secure_with_a_host_prefix():
    policy = CookiePolicy(default_name(True, "/", None))
    assert policy.name.startswith("__Host-")
    assert "secure" in attributes_of(policy.set_header(TOKEN))


def test_asvs_3_3_2_the_default_has_same_site():
    assert attributes_of(CookiePolicy("sid").set_header(TOKEN))["samesite"] == "Lax"


def test_asvs_3_3_3_the_default_belongs_to_one_host():
    attributes = attributes_of(CookiePolicy("sid").set_header(TOKEN))
    assert attributes["path"] == "/"
    assert "domain" not in attributes


def test_asvs_3_3_4_the_default_is_http_only():
    assert "httponly" in attributes_of(CookiePolicy("sid").set_header(TOKEN))


def test_asvs_3_3_5_name_and_value_stay_within_4096_bytes():
    policy = CookiePolicy("sid")
    longest = "v" * (4096 - len("sid="))
    assert policy.set_header(longest).startswith(f"sid={longest}; ")
    with pytest.raises(ValueError, match="take 4097 bytes of 4096"):
        policy.set_header(longest + "v")


@pytest.mark.parametrize(
    ("secure", "path", "domain", "name"),
    [
        (True, "/", None, "__Host-session"),
        (False, "/", None, "session"),
        (True, "/app", None, "session"),
        (True, "/", "example.com", "session"),
        (False, "/app", "example.com", "session"),
    ],
)
def test_the_default_name_has_the_prefix_where_browsers_take_it(secure, path, domain, name):
    assert default_name(secure, path, domain) == name
    assert CookiePolicy(name, path=path, domain=domain, secure=secure).name == name


# What cannot be made


@pytest.mark.parametrize("name", ["", " ", "a b", "a=b", "sess\tion", '"sid"', "séance", "(sid)", "sid\n", "__Host-é"])
def test_a_name_is_a_token_of_http(name):
    with pytest.raises(ValueError, match=r"name is .*; wanted one or more ASCII letters"):
        CookiePolicy(name)


@pytest.mark.parametrize("injection", INJECTIONS)
def test_cve_2024_47764_a_name_cannot_inject(injection):
    with pytest.raises(ValueError, match="name is "):
        CookiePolicy("sid" + injection)


@pytest.mark.parametrize("injection", INJECTIONS)
def test_cve_2024_47764_a_path_cannot_inject(injection):
    with pytest.raises(ValueError, match="path is "):
        CookiePolicy("sid", path="/" + injection)


@pytest.mark.parametrize("injection", INJECTIONS)
def test_cve_2024_47764_a_domain_cannot_inject(injection):
    with pytest.raises(ValueError, match="domain is "):
        CookiePolicy("sid", domain="example.com" + injection)


@pytest.mark.parametrize("injection", [*INJECTIONS, " ", '"', "\\"])
def test_cve_2024_47764_a_value_cannot_inject(injection):
    with pytest.raises(ValueError, match="has at position 4 a character that no cookie can hold"):
        CookiePolicy("sid").set_header("abcd" + injection)


@pytest.mark.parametrize("path", ["", "app", " /app", "/a b", "/a;b", "/a,b"])
def test_a_path_begins_with_a_slash_and_is_visible_ascii(path):
    with pytest.raises(ValueError, match=r"path is .*; wanted '/' and then visible ASCII"):
        CookiePolicy("sid", path=path)


@pytest.mark.parametrize(
    "domain",
    [
        "", ".", "..example.com", "example..com", "example.com.", "-example.com", "example-.com",
        "example.com:8000", "https://example.com", "exa mple.com", "bücher.example", "*.example.com", "[::1]",
        "a" * 64 + ".com", ".".join(["a" * 49] * 6),
    ],
)  # fmt: skip
def test_a_domain_is_a_host_name(domain):
    with pytest.raises(ValueError, match=r"domain is .*; wanted a host name"):
        CookiePolicy("sid", domain=domain)


@pytest.mark.parametrize(
    "domain",
    ["example.com", "sub.example.com", "xn--bcher-kva.example", "localhost", "127.0.0.1", "my_host.lan"],
)
def test_a_host_name_is_written_as_the_domain(domain):
    assert attributes_of(CookiePolicy("sid", domain=domain).set_header(TOKEN))["domain"] == domain


def test_a_leading_dot_of_the_domain_which_browsers_ignore_stays():
    policy = CookiePolicy("sid", domain=".example.com")
    assert attributes_of(policy.set_header(TOKEN))["domain"] == ".example.com"


def test_attributes_can_be_in_lower_case():
    policy = CookiePolicy("sid", "/Shop", "example.com", same_site="None", partitioned=True, lower_case=True)
    assert policy.set_header(TOKEN, max_age=60, now=0) == (
        f"sid={TOKEN}; expires=Thu, 01 Jan 1970 00:01:00 GMT; Max-Age=60; domain=example.com; path=/Shop; secure; "
        "httponly; samesite=none; partitioned"
    )


@pytest.mark.parametrize("name", ["__Host-sid", "__host-sid", "__HOST-sid", "__hOsT-sid"])
@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"secure": False}, "needs secure=True"),
        ({"path": "/app"}, "has path '/' and no domain"),
        ({"domain": "example.com"}, "has path '/' and no domain"),
    ],
)
def test_a_host_prefix_needs_secure_the_root_path_and_no_domain(name, attributes, message):
    assert CookiePolicy(name).name == name
    with pytest.raises(ValueError, match=message):
        CookiePolicy(name, **attributes)


@pytest.mark.parametrize("name", ["__Secure-sid", "__secure-sid", "__SECURE-sid"])
def test_a_secure_prefix_needs_secure_only(name):
    assert CookiePolicy(name, path="/app", domain="example.com").name == name
    with pytest.raises(ValueError, match="needs secure=True"):
        CookiePolicy(name, secure=False)


@pytest.mark.parametrize("name", ["__Http-sid", "__http-sid", "__Host-Http-sid"])
@pytest.mark.parametrize(
    ("attributes", "message"),
    [({"http_only": False}, "needs http_only=True"), ({"secure": False}, "needs secure=True")],
)
def test_an_http_prefix_needs_http_only_and_secure(name, attributes, message):
    assert CookiePolicy(name).name == name
    with pytest.raises(ValueError, match=message):
        CookiePolicy(name, **attributes)


@pytest.mark.parametrize("name", ["__Host", "Host-sid", "my__Host-sid", "__Secured"])
def test_a_name_that_only_resembles_a_prefix_needs_nothing(name):
    assert CookiePolicy(name, path="/app", secure=False).name == name


def test_same_site_none_needs_secure():
    with pytest.raises(ValueError, match="same_site='None' needs secure=True"):
        CookiePolicy("sid", secure=False, same_site="None")


def test_partitioned_needs_secure():
    with pytest.raises(ValueError, match="partitioned=True needs secure=True"):
        CookiePolicy("sid", secure=False, partitioned=True)


def test_taking_secure_away_later_is_checked_as_well():
    with pytest.raises(ValueError, match="needs secure=True"):
        dataclasses.replace(CookiePolicy("__Host-sid"), secure=False)


@pytest.mark.parametrize(("given", "written"), [("lax", "Lax"), ("STRICT", "Strict"), ("none", "None")])
def test_same_site_is_written_in_one_case(given, written):
    assert attributes_of(CookiePolicy("sid", same_site=given).set_header(TOKEN))["samesite"] == written


@pytest.mark.parametrize("same_site", ["", "Loose", "Lax; Secure", "Lax\n"])
def test_another_same_site_is_refused(same_site):
    with pytest.raises(ValueError, match="wanted 'Lax', 'Strict', 'None', or None"):
        CookiePolicy("sid", same_site=same_site)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"name": None}, "name is None; wanted str"),
        ({"name": b"sid"}, "name is b'sid'; wanted str"),
        ({"path": None}, "path is None; wanted str"),
        ({"domain": False}, "domain is False; wanted str"),
        ({"same_site": False}, "same_site is False; wanted str"),
        ({"secure": "false"}, "secure: str given, a bool wanted"),
        ({"http_only": 1}, "http_only: int given, a bool wanted"),
        ({"partitioned": None}, "partitioned: NoneType given, a bool wanted"),
    ],
)
def test_an_attribute_of_another_type_is_refused(attributes, message):
    with pytest.raises(TypeError, match=message):
        CookiePolicy(**{"name": "sid", **attributes})


def test_name_and_path_stay_within_1024_bytes():
    assert CookiePolicy("n" * 1024, path="/" + "p" * 1023)
    with pytest.raises(ValueError, match="name has 1025 bytes; wanted at most 1024"):
        CookiePolicy("n" * 1025)
    with pytest.raises(ValueError, match="path has 1025 bytes; wanted at most 1024"):
        CookiePolicy("sid", path="/" + "p" * 1024)


def test_a_policy_cannot_be_changed():
    policy = CookiePolicy("sid")
    with pytest.raises(dataclasses.FrozenInstanceError):
        policy.secure = False
    assert not hasattr(policy, "__dict__")


def test_checking_a_name_says_which_one():
    check_name("header", "X-Session")
    with pytest.raises(ValueError, match="header is 'X Session'"):
        check_name("header", "X Session")


# The value


@pytest.mark.parametrize(
    "value", [TOKEN + ";", TOKEN + "\r\n", '"' + TOKEN + '"', TOKEN + "é", TOKEN * 200, TOKEN.encode()]
)
def test_cve_2023_20866_an_error_never_contains_the_value(value):
    with pytest.raises((ValueError, TypeError)) as refused:
        CookiePolicy("sid").set_header(value)
    assert TOKEN not in repr(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None


@pytest.mark.parametrize("value", [None, 1, b"token"])
def test_a_value_of_another_type_is_refused(value):
    with pytest.raises(TypeError, match=f"the value of cookie 'sid' is of type {type(value).__name__}; wanted str"):
        CookiePolicy("sid").set_header(value)


def test_an_empty_value_is_not_a_way_to_delete():
    with pytest.raises(ValueError, match=r"is empty; use delete_header\(\)"):
        CookiePolicy("sid").set_header("")


@given(value=values)
def test_what_was_set_is_what_others_parse(value):
    header = CookiePolicy("sid", domain="example.com").set_header(value, max_age=60)
    jar = SimpleCookie()
    jar.load(header)
    assert jar["sid"].value == value
    assert jar["sid"]["max-age"] == "60"
    assert parse_cookie(header.partition(";")[0]).to_dict(flat=False) == {"sid": [value]}


@given(value=pieces, path=pieces, domain=pieces, name=pieces)
def test_whatever_is_given_the_header_is_one_line_of_ascii_or_a_refusal(value, path, domain, name):
    try:
        header = CookiePolicy(name, path="/" + path, domain=domain).set_header(value)
    except ValueError:
        return
    assert header.isascii()
    assert header.isprintable()
    assert attributes_of(header).keys() == {"path", "domain", "secure", "httponly", "samesite"}


# Lifetimes


def test_without_a_lifetime_the_browser_keeps_it_for_its_session():
    attributes = attributes_of(CookiePolicy("sid").set_header(TOKEN, now=NOW))
    assert not attributes.keys() & {"expires", "max-age"}


@pytest.mark.parametrize(
    ("lifetime", "max_age", "expires"),
    [
        ({"max_age": 60}, "60", "Tue, 14 Nov 2023 22:14:20 GMT"),
        ({"expires": NOW + 60}, "60", "Tue, 14 Nov 2023 22:14:20 GMT"),
        ({"max_age": 60, "expires": NOW + 60}, "60", "Tue, 14 Nov 2023 22:14:20 GMT"),
        ({"expires": NOW + 0.2}, "1", "Tue, 14 Nov 2023 22:13:21 GMT"),
        ({"expires": NOW + 60 + 2e-7}, "60", "Tue, 14 Nov 2023 22:14:21 GMT"),
        ({"max_age": 400 * DAY}, "34560000", "Wed, 18 Dec 2024 22:13:20 GMT"),
        ({"max_age": 400 * DAY + 1}, "34560000", "Wed, 18 Dec 2024 22:13:20 GMT"),
        ({"max_age": 10**400}, "34560000", "Wed, 18 Dec 2024 22:13:20 GMT"),
        ({"expires": NOW + 401 * DAY}, "34560000", "Wed, 18 Dec 2024 22:13:20 GMT"),
        ({"expires": float("inf")}, "34560000", "Wed, 18 Dec 2024 22:13:20 GMT"),
        ({"max_age": 60, "expires": float("inf")}, "60", "Wed, 18 Dec 2024 22:13:20 GMT"),
        ({"max_age": 401 * DAY, "expires": NOW + 401 * DAY}, "34560000", "Wed, 18 Dec 2024 22:13:20 GMT"),
        ({"max_age": 0}, "0", "Tue, 14 Nov 2023 22:13:20 GMT"),
        ({"max_age": -5}, "0", "Tue, 14 Nov 2023 22:13:20 GMT"),
        ({"expires": NOW - 5}, "0", "Tue, 14 Nov 2023 22:13:15 GMT"),
        ({"expires": -1e9}, "0", "Thu, 01 Jan 1970 00:00:00 GMT"),
    ],
)
def test_a_lifetime_is_written_twice_and_cut_at_400_days(lifetime, max_age, expires):
    attributes = attributes_of(CookiePolicy("sid").set_header(TOKEN, **lifetime, now=NOW))
    assert (attributes["max-age"], attributes["expires"]) == (max_age, expires)


def test_without_a_given_now_this_machine_says_it():
    before = time.time()
    attributes = attributes_of(CookiePolicy("sid").set_header(TOKEN, max_age=60))
    assert before + 59 <= parsedate_to_datetime(attributes["expires"]).timestamp() <= time.time() + 62


@pytest.mark.parametrize("max_age", [1.5, "60", True])
def test_a_max_age_is_whole_seconds(max_age):
    with pytest.raises(TypeError, match=f"max_age is {max_age!r}; wanted whole seconds as an int, or None"):
        CookiePolicy("sid").set_header(TOKEN, max_age=max_age)


def test_an_expiry_that_is_not_a_number_is_refused():
    with pytest.raises(ValueError, match="expires is not a number"):
        CookiePolicy("sid").set_header(TOKEN, expires=float("nan"))


def test_the_date_does_not_follow_the_locale(monkeypatch):
    monkeypatch.setattr(time, "strftime", lambda *args: pytest.fail("strftime follows the locale"))
    attributes = attributes_of(CookiePolicy("sid").set_header(TOKEN, max_age=0, now=0))
    assert attributes["expires"] == "Thu, 01 Jan 1970 00:00:00 GMT"


# Deletion


def test_deleting_writes_no_value_and_a_lifetime_that_is_over():
    assert CookiePolicy("sid").delete_header() == (
        "sid=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax"
    )


@pytest.mark.parametrize(
    "policy",
    [
        CookiePolicy("__Host-sid"),
        CookiePolicy("__Secure-sid", path="/app", domain="example.com", same_site="Strict"),
        CookiePolicy("sid", same_site="None", partitioned=True),
        CookiePolicy("sid", secure=False, http_only=False, same_site=None),
    ],
    ids=lambda policy: policy.name,
)
def test_deleting_has_the_very_attributes_that_it_was_set_with(policy):
    deleting = attributes_of(policy.delete_header())
    assert deleting.pop("max-age") == "0"
    assert parsedate_to_datetime(deleting.pop("expires")).timestamp() == 0
    assert deleting == attributes_of(policy.set_header(TOKEN))
