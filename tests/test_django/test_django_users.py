"""Whose a session is: the index by user follows whatever path writes the data."""

from __future__ import annotations

import asyncio
from itertools import product

import pytest
from django.contrib.auth import (
    alogin,
    aupdate_session_auth_hash,
    get_user_model,
    login,
    update_session_auth_hash,
    user_logged_in,
    user_logged_out,
)
from django.contrib.sessions.backends.base import UpdateError
from django.http import JsonResponse
from django_kit import BACKEND, Browser, by_cookie, cookies_set, make_store

from redisess_core.tokens import session_id_of
from redisess_django import manager, session_created, session_killed, session_rotated
from support.django_project import DJANGOS, OURS
from support.django_site import both
from support.django_site import urlpatterns as site_urls


def name_directly(request, user_id):
    request.session["_auth_user_id"] = user_id
    return JsonResponse({})


def unname(request):
    del request.session["_auth_user_id"]
    return JsonResponse({})


def clear(request):
    request.session.clear()
    return JsonResponse({})


def new_hash(request):
    request.user.set_password("other")
    request.user.save()
    update_session_auth_hash(request, request.user)
    return JsonResponse({})


def twice(request, name):
    user = get_user_model().objects.get(username=name)
    login(request, user, BACKEND)
    first = request.session.session_key
    login(request, user, BACKEND)
    request.session.save()
    return JsonResponse({"same": request.session.session_key == first, "key": request.session.session_key})


async def aname_directly(request, user_id):
    await request.session.aset("_auth_user_id", user_id)
    return JsonResponse({})


async def aunname(request):
    await request.session.apop("_auth_user_id")
    return JsonResponse({})


async def anew_hash(request):
    user = await request.auser()
    user.set_password("other")
    await user.asave()
    request.user = user  # Django 5.2 asks for it, and it was read for blocking code only
    await aupdate_session_auth_hash(request, user)
    return JsonResponse({})


async def atwice(request, name):
    user = await get_user_model().objects.aget(username=name)
    await alogin(request, user, BACKEND)
    first = request.session.session_key
    await alogin(request, user, BACKEND)
    await request.session.asave()
    return JsonResponse({"same": request.session.session_key == first, "key": request.session.session_key})


ROUTES = [
    ("name/<user_id>", name_directly, aname_directly),
    ("unname", unname, aunname),
    ("clear", clear, clear),
    ("new-hash", new_hash, anew_hash),
    ("twice/<name>", twice, atwice),
]
urlpatterns = [*site_urls, *(url for route in ROUTES for url in both(*route))]


@pytest.fixture(params=[(OURS, 8), (DJANGOS, 1)], ids=["ours-8 shards", "django's-1 shard"])
def stack(request):
    """A middleware, and how many shards there are."""
    return request.param


@pytest.fixture
def middleware(stack):
    return stack[0]


@pytest.fixture
def site(set_up, stack, ada, bob, clock):
    set_up(session_middleware=stack[0], shards=stack[1], ROOT_URLCONF=__name__, clock=clock)


@pytest.fixture
def browser(site, colour):
    return Browser(colour)


STACKS = list(product([OURS, DJANGOS], [1, 8]))
every_stack = pytest.mark.parametrize("stack", STACKS, ids=[f"{where.split('.')[0]}-{n}" for where, n in STACKS])


def of(user):
    """The session ids of a user's live sessions."""
    return manager().get_user_sessions(user.pk)


def users():
    return set(manager().get_all_users())


def id_of(browser):
    return session_id_of(browser.token)


@every_stack
def test_the_index_follows_login_and_logout(browser, ada):
    browser.get("put/cart/tea")
    cart = browser.token
    assert (manager().count(), users()) == (1, set())
    browser.get("sign-in/ada")
    assert of(ada) == [id_of(browser)]
    assert browser.token != cart
    assert manager().authenticate(cart) is None
    assert browser.get("me").json() == {"user": "ada", "data": {"cart": "tea"}}
    browser.get("sign-out")
    assert (manager().count(), users()) == (0, set())
    assert browser.token is None
    assert browser.get("me").json()["user"] is None


def test_the_index_follows_a_sign_in_without_a_session_before(browser, ada):
    browser.get("sign-in/ada")
    assert of(ada) == [id_of(browser)]
    assert manager().count() == 1


def test_the_index_follows_force_login_and_the_logout_of_a_test_client(browser, ada, colour):
    if colour == "blocking":
        browser.client.force_login(ada)
    else:
        asyncio.run(browser.client.aforce_login(ada))
    assert of(ada) == [id_of(browser)]
    assert browser.get("me").json()["user"] == "ada"
    if colour == "blocking":
        browser.client.logout()
    else:
        asyncio.run(browser.client.alogout())
    assert manager().count() == 0


def test_a_test_client_signs_in_by_credentials(browser, ada, colour):
    given = {"username": "ada", "password": "secret"}
    if colour == "blocking":
        assert browser.client.login(**given)
    else:
        assert asyncio.run(browser.client.alogin(**given))
    assert of(ada) == [id_of(browser)]


def test_the_index_follows_who_writes_the_user_directly(browser, ada, bob):
    browser.get(f"name/{ada.pk}")
    assert of(ada) == [id_of(browser)]
    browser.get(f"name/{bob.pk}")
    assert (of(ada), of(bob)) == ([], [id_of(browser)])
    browser.get("unname")
    assert users() == set()
    browser.get("put/a/b")
    assert browser.get("me").json() == {"user": None, "data": {"a": "b"}}
    assert users() == set()


def test_a_session_whose_user_is_named_no_longer_has_a_new_key(browser, ada):
    browser.get(f"name/{ada.pk}")
    signed_in = browser.token
    browser.get("put/a/b")
    browser.get("unname")
    assert browser.token != signed_in
    assert manager().authenticate(signed_in) is None
    assert manager().count() == 1


def test_who_clears_a_session_signs_its_user_out(browser, ada):
    browser.get("sign-in/ada")
    signed_in = browser.token
    browser.get("clear")
    assert manager().authenticate(signed_in) is None
    assert users() == set()
    assert browser.get("me").json() == {"user": None, "data": {}}


def test_a_new_password_keeps_the_user_signed_in_under_a_new_key(browser, ada):
    browser.get("put/a/b")
    browser.get("sign-in/ada")
    before = browser.token
    assert browser.get("new-hash").status_code == 200
    assert browser.token != before
    assert of(ada) == [id_of(browser)]
    assert manager().authenticate(before) is None
    assert browser.get("me").json() == {"user": "ada", "data": {"a": "b"}}


@every_stack
def test_a_sign_in_as_another_user_drops_what_the_others_session_held(browser, ada, bob):
    browser.get("sign-in/ada")
    browser.get("put/secret/adas")
    adas = browser.token
    browser.get("switch/bob")
    assert (of(ada), of(bob)) == ([], [id_of(browser)])
    assert browser.get("me").json() == {"user": "bob", "data": {}}
    assert manager().authenticate(adas) is None
    assert manager().count() == 1


def test_a_repeated_sign_in_gives_a_new_key_under_our_middleware_and_keeps_it_under_djangos(
    browser, ada, clock, middleware
):
    browser.get("sign-in/ada")
    first, began = browser.token, clock()
    clock.advance(100)
    browser.get("sign-in/ada")
    assert (browser.token != first) is (middleware == OURS)
    assert of(ada) == [id_of(browser)]
    assert manager().exists(session_id_of(first)) is (middleware == DJANGOS)
    assert manager().get(id_of(browser)).authenticated_at == began + 100
    assert browser.get("me").json()["user"] == "ada"


def test_two_sign_ins_in_one_request_leave_one_session(browser, ada):
    answer = browser.get("twice/ada").json()
    assert answer == {"same": True, "key": browser.token}
    assert of(ada) == [id_of(browser)]
    assert manager().count() == 1


@pytest.fixture
def heard():
    """The keys that receivers of `user_logged_in` and `user_logged_out` see."""
    keys = {"in": [], "out": []}

    def at_sign_in(request, **_):
        keys["in"].append(request.session.session_key)

    def at_sign_out(request, **_):
        keys["out"].append(request.session.session_key)

    user_logged_in.connect(at_sign_in)
    user_logged_out.connect(at_sign_out)
    yield keys
    user_logged_in.disconnect(at_sign_in)
    user_logged_out.disconnect(at_sign_out)


@every_stack
@pytest.mark.parametrize("before", ["nothing", "a cart", "another user", "the same user"])
def test_receivers_of_a_sign_in_see_the_final_key(browser, heard, ada, before):
    first = {"a cart": "put/cart/tea", "another user": "sign-in/bob", "the same user": "sign-in/ada"}.get(before)
    if first is not None:
        browser.get(first)
    browser.get("sign-in/ada")
    assert heard["in"][-1] == browser.token
    assert of(ada) == [session_id_of(heard["in"][-1])]


def test_receivers_of_a_sign_out_see_the_key_that_ends(browser, heard, ada):
    browser.get("sign-in/ada")
    token = browser.token
    browser.get("sign-out")
    assert heard["out"] == [token]


def test_a_session_that_another_adapter_made_keeps_its_user_when_django_writes(browser):
    token = manager().create("of the other", data={"a": 1}).token
    session_id = session_id_of(token)
    response = browser.get("put/b/2", by_cookie(token))
    assert [cookie.value for cookie in cookies_set(response)] in ([], [token])
    found = manager().get(session_id)
    assert (found.user_id, dict(found.data)) == ("of the other", {"a": 1, "b": "2"})
    assert manager().get_user_sessions("of the other") == [session_id]
    assert browser.get("me", by_cookie(token)).json()["user"] is None


def test_a_sign_in_over_another_adapters_session_drops_what_that_users_session_held(browser, ada):
    token = manager().create("of the other", data={"secret": "the other's"}).token
    response = browser.get("sign-in/ada", by_cookie(token))
    (cookie,) = cookies_set(response)
    assert manager().authenticate(token) is None
    assert browser.get("me").json() == {"user": "ada", "data": {}}
    assert users() == {str(ada.pk)}
    assert cookie.value == browser.token


def test_a_sign_in_over_another_adapters_session_of_the_same_user_keeps_what_it_held(browser, ada):
    token = manager().create(ada.pk, data={"cart": "tea"}).token
    browser.get("sign-in/ada", by_cookie(token))
    assert manager().authenticate(token) is None
    assert browser.get("me").json() == {"user": "ada", "data": {"cart": "tea"}}
    assert of(ada) == [id_of(browser)]


def test_a_sign_out_ends_another_adapters_session(browser):
    token = manager().create("of the other").token
    browser.get("sign-out", by_cookie(token))
    assert manager().count() == 0


def test_another_adapter_knows_who_signed_in_here(browser, ada):
    browser.get("sign-in/ada")
    found = manager().authenticate(browser.token)
    assert found.user_id == str(ada.pk)
    assert found.session_id == id_of(browser)


def test_a_user_who_was_signed_out_everywhere_is_nobody_at_the_next_request(browser, ada, middleware):
    browser.get("sign-in/ada")
    assert manager().kill_user(ada.pk) == 1
    response = browser.get("me")
    assert response.json()["user"] is None
    assert [cookie.removes for cookie in cookies_set(response)] == ([] if middleware == OURS else [True])


# Without a request


@pytest.fixture
def store(site, colour):
    with asyncio.Runner() as runner:
        yield lambda key=None: make_store(colour, runner.run, key)


@pytest.mark.parametrize("user_id", [7, "7", "x" * 256])
def test_whoever_is_named_owns_the_session(store, user_id):
    session = store()
    session["_auth_user_id"] = user_id
    key = session.session_key
    session.save()
    assert session.session_key == key
    assert manager().get_user_sessions(str(user_id)) == [session.session_id]
    assert session.user_id == str(user_id)


@pytest.mark.parametrize("stack", [(OURS, 8)], ids=[""])
@pytest.mark.parametrize("user_id", ["", None, "x" * 257, 1.5], ids=["empty", "none", "long", "float"])
def test_what_is_no_user_id_signs_nobody_in_and_breaks_nothing_but_the_save(store, user_id):
    session = store()
    session["a"] = 1
    session.save()
    session_id = session.session_id
    session["_auth_user_id"] = user_id
    assert session_id in repr(getattr(session, "store", session))
    with pytest.raises((TypeError, ValueError), match="user"):
        session.save()
    assert users() == set()
    assert dict(manager().get(session_id).data) == {"a": 1}


def test_a_sign_in_moves_the_session_whatever_the_shard(store):
    session = store()
    session["cart"] = [1]
    session.save()
    for user_id in map(str, range(12)):
        before = session.session_key
        session["_auth_user_id"] = user_id
        chosen = session.session_key
        session.save()
        assert session.session_key == chosen
        assert users() == {user_id}
        assert manager().count() == 1
        if chosen != before:
            assert not session.exists(before)
    assert session["cart"] == [1]


@pytest.fixture
def told():
    """What the signals tell from here on: their names, session ids and user ids."""
    heard, names = [], {session_created: "created", session_rotated: "rotated", session_killed: "killed"}

    def hear(signal, session_id, user_id, **_):
        heard.append((names[signal], session_id, user_id))

    for signal in names:
        signal.connect(hear)
    yield heard
    for signal in names:
        signal.disconnect(hear)


@pytest.mark.parametrize("leave", [lambda session: session.clear(), lambda session: session.pop("_auth_user_id")])
@pytest.mark.parametrize("follows", [None, "8"])
def test_a_field_of_a_user_stays_with_nobody_else(set_up, store, told, leave, follows):
    set_up(additional_fields=["role"])
    session = store()
    session["_auth_user_id"] = "7"
    session.set_fields(role="admin")
    session.save()
    before, told[:] = session.session_id, []
    leave(session)
    session["note"] = 1
    if follows is not None:
        session["_auth_user_id"] = follows
    session.save()
    (found,) = manager().iter_sessions()
    assert found.session_id == session.session_id != before
    assert (found.user_id, found.role) == (follows, None)
    assert session["note"] == 1
    assert told == [("killed", before, "7"), ("created", session.session_id, follows)]


def test_clear_signs_out_also_who_was_signed_in_by_another_adapter(store):
    session = store(manager().create("9", data={"cart": [1]}).token)
    assert session["cart"] == [1]
    session.clear()
    assert session.leaves_nothing
    session["note"] = 1
    session.save()
    assert session.user_id is None
    assert users() == set()
    assert manager().count() == 1


def test_a_second_click_on_sign_in_signs_in_too_and_has_what_was_held_for_nobody(store):
    session = store()
    session["cart"] = [1]
    session.save()
    first, second = store(session.session_key), store(session.session_key)
    for click in (first, second):
        assert click["cart"] == [1]
        click["_auth_user_id"] = "7"
    for click in (first, second):
        click.save()
    assert set(manager().get_user_sessions("7")) == {first.session_id, second.session_id}
    assert [store(click.session_key)["cart"] for click in (first, second)] == [[1], [1]]


def test_a_late_save_of_who_was_signed_out_brings_nobody_back(store):
    session = store()
    session["_auth_user_id"] = "7"
    session.save()
    late = store(session.session_key)
    late["a"] = 1
    session.flush()
    for _ in range(2):
        with pytest.raises(UpdateError):
            late.save()
    late["_auth_user_id"] = "8"
    with pytest.raises(UpdateError):
        late.save()
    assert manager().count() == 0


def test_the_user_is_djangos_user(browser, ada, colour):
    """`get_user` of `django.contrib.auth` finds who is named, and checks the hash of the password."""
    browser.get("sign-in/ada")
    get_user_model().objects.filter(pk=ada.pk).update(password="changed")
    assert browser.get("me").json()["user"] is None
    assert users() == set()
