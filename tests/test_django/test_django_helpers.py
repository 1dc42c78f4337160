"""What views call, each blocking and async: a user's sessions, and their end."""

from __future__ import annotations

import asyncio

import pytest
from asgiref.sync import iscoroutinefunction
from django.contrib.auth import alogin, get_user_model, login
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import AnonymousUser, Group
from django.http import JsonResponse
from django.test import AsyncClient, Client, RequestFactory
from django.views import View

import redisess_django
from redisess_core import SessionGone
from redisess_django import (
    aend_session,
    akill_user,
    alogout_everywhere,
    alogout_others,
    asessions,
    end_session,
    helpers,
    kill_user,
    logout_everywhere,
    logout_others,
    manager,
    session_killed,
    session_required,
)
from support.django_project import DJANGOS, OURS
from support.django_site import both
from support.django_site import urlpatterns as site_urls


def devices(request):
    return JsonResponse({"devices": [each.session_id for each in helpers.sessions(request.user)]})


def others(request):
    return JsonResponse({"ended": logout_others(request)})


def everywhere(request):
    return JsonResponse({"ended": logout_everywhere(request)})


def end(request, session_id):
    return JsonResponse({"ended": end_session(request, session_id)})


def end_user(request, name):
    return JsonResponse({"ended": kill_user(get_user_model().objects.get(username=name))})


def sign_in_alone(request, name):
    login(request, get_user_model().objects.get(username=name), "django.contrib.auth.backends.ModelBackend")
    return JsonResponse({"ended": logout_others(request), "id": request.session.session_id})


@session_required
def required(request):
    return JsonResponse({})


@session_required(fresh=60)
def fresh(request):
    return JsonResponse({})


async def adevices(request):
    return JsonResponse({"devices": [each.session_id for each in await asessions(await request.auser())]})


async def aothers(request):
    return JsonResponse({"ended": await alogout_others(request)})


async def aeverywhere(request):
    return JsonResponse({"ended": await alogout_everywhere(request)})


async def aend(request, session_id):
    return JsonResponse({"ended": await aend_session(request, session_id)})


async def aend_user(request, name):
    return JsonResponse({"ended": await akill_user(await get_user_model().objects.aget(username=name))})


async def asign_in_alone(request, name):
    user = await get_user_model().objects.aget(username=name)
    await alogin(request, user, "django.contrib.auth.backends.ModelBackend")
    return JsonResponse({"ended": await alogout_others(request), "id": request.session.session_id})


@session_required
async def arequired(request):
    return JsonResponse({})


@session_required(fresh=60)
async def afresh(request):
    return JsonResponse({})


class Page(View):
    async def get(self, request):
        return JsonResponse({})


ROUTES = [
    ("devices", devices, adevices),
    ("others", others, aothers),
    ("everywhere", everywhere, aeverywhere),
    ("end/<session_id>", end, aend),
    ("end-user/<name>", end_user, aend_user),
    ("sign-in-alone/<name>", sign_in_alone, asign_in_alone),
    ("required", required, arequired),
    ("fresh", fresh, afresh),
]
urlpatterns = [*site_urls, *(url for route in ROUTES for url in both(*route))]


@pytest.fixture(params=[OURS, DJANGOS], ids=["ours", "django's"])
def site(set_up, request, ada, bob, clock):
    set_up(session_middleware=request.param, ROOT_URLCONF=__name__, clock=clock)


@pytest.fixture
def browser(site, colour):
    """Make browsers: each is a function of a path, that gives the response."""

    def browser(name=None):
        client = Client() if colour == "blocking" else AsyncClient()

        def get(path):
            if colour == "blocking":
                return client.get(f"/{path}")
            return asyncio.run(client.get(f"/async/{path}"))

        if name is not None:
            assert get(f"sign-in/{name}").status_code == 200
        get.client = client
        return get

    return browser


def test_a_user_sees_and_ends_sessions(browser, clock, ada):
    here = browser("ada")
    clock.advance(5)
    there = browser("ada")
    bob = browser("bob")
    clock.advance(5)
    ids = here("devices").json()["devices"]
    assert ids == manager().get_user_sessions(ada.pk)
    assert len(ids) == 2
    assert bob(f"end/{ids[0]}").json() == {"ended": False}
    elsewhere = browser("ada")
    assert here("others").json() == {"ended": 2}
    assert [each("me").json()["user"] for each in (here, there, elsewhere, bob)] == ["ada", None, None, "bob"]
    there = browser("ada")
    (other,) = set(here("devices").json()["devices"]) - set(ids)
    assert here(f"end/{other}").json() == {"ended": True}
    assert here(f"end/{other}").json() == {"ended": False}
    assert there("me").json()["user"] is None
    assert bob("end-user/ada").json() == {"ended": 1}
    assert here("me").json()["user"] is None


def test_to_end_ones_own_session_is_to_sign_out(browser, ada):
    here = browser("ada")
    (own,) = here("devices").json()["devices"]
    assert here(f"end/{own}").json() == {"ended": True}
    assert here.client.cookies["sessionid"].value == ""
    assert manager().count() == 0


def test_to_sign_out_everywhere_ends_the_others_and_this_one(browser, ada):
    here, there, bob = browser("ada"), browser("ada"), browser("bob")
    assert here("everywhere").json() == {"ended": 2}
    assert here.client.cookies["sessionid"].value == ""
    assert [each("me").json()["user"] for each in (here, there, bob)] == [None, None, "bob"]
    assert manager().count_for_user(ada.pk) == 0
    assert browser()("everywhere").json() == {"ended": 0}


def test_a_sign_in_that_ends_the_others_is_stored_first(browser, ada):
    browser("ada")
    browser("ada")
    here = browser()
    answer = here("sign-in-alone/ada").json()
    assert answer["ended"] == 2
    assert manager().get_user_sessions(ada.pk) == [answer["id"]]
    assert here("me").json()["user"] == "ada"


@pytest.fixture
def told():
    """What `session_killed` tells."""
    told = []

    def note(sender, session_id, user_id, **_):
        told.append((sender, session_id, user_id))

    session_killed.connect(note)
    yield told
    session_killed.disconnect(note)


def test_what_ends_by_its_id_is_told_by_a_signal(browser, clock, ada, bob, told):
    engine = redisess_django.sessions.SessionStore
    theirs, there = browser("bob"), browser("ada")
    clock.advance(1)
    here = browser("ada")
    (bobs,), (own, other) = (manager().get_user_sessions(user.pk) for user in (bob, ada))
    there(f"end/{bobs}")
    here(f"end/{other}")
    here(f"end/{other}")
    assert told == [(engine, other, str(ada.pk))]
    here(f"end/{own}")
    assert told[1:] == [(engine, own, str(ada.pk))]
    browser("bob")
    theirs("others")
    assert told[2:] == []
    theirs("everywhere")
    assert told[2:] == [(engine, bobs, str(bob.pk))]


@pytest.mark.parametrize("signed_in", [True, False])
def test_what_a_form_may_send_in_place_of_an_id_ends_nothing(site, ada, signed_in):
    request = RequestFactory().get("/")
    store = request.session = redisess_django.sessions.SessionStore()
    store["_auth_user_id" if signed_in else "cart"] = str(ada.pk)
    for wrong in ("", "nonsense", "x\0", "s" * 5000, "é", "saa" + "0" * 25, "zzz"):
        assert end_session(request, wrong) is False
        assert asyncio.run(aend_session(request, wrong)) is False
    with pytest.raises(TypeError, match="session_id"):
        end_session(request, None)


def test_nobody_has_nothing_to_end(browser):
    assert browser()("others").json() == {"ended": 0}
    assert browser()(f"end/s{'a' * 2}{'0' * 25}").json() == {"ended": False}


def test_who_was_signed_out_ends_nothing(site, ada):
    engine = redisess_django.sessions
    request = RequestFactory().get("/")
    store = request.session = engine.SessionStore()
    store["_auth_user_id"] = str(ada.pk)
    store.save()
    other = manager().create(str(ada.pk))
    manager().kill(store.session_id)
    for call in (logout_others, logout_everywhere, lambda request: end_session(request, other.session_id)):
        store.modified = False
        with pytest.raises(SessionGone):
            call(request)
    assert manager().exists(other.session_id)


def test_who_was_signed_out_while_the_view_changed_the_session_ends_nothing_either(site, ada):
    request = RequestFactory().get("/")
    store = request.session = redisess_django.sessions.SessionStore()
    store["_auth_user_id"] = str(ada.pk)
    store.save()
    other = manager().create(str(ada.pk))
    manager().kill(store.session_id)
    for call in (logout_others, logout_everywhere, lambda request: end_session(request, other.session_id)):
        store["changed"] = True
        with pytest.raises(SessionGone):
            call(request)
        assert not store.modified
    assert manager().get_user_sessions(ada.pk) == [other.session_id]


def test_a_session_of_another_engine_is_refused(site):
    request = RequestFactory().get("/")
    request.session = {}
    with pytest.raises(TypeError, match="dict given"):
        logout_others(request)


def test_only_who_is_signed_in_may_see_it(browser, clock):
    stranger, here = browser(), browser("ada")
    refused = stranger("required")
    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert stranger("fresh").status_code == 401
    clock.advance(60)
    assert here("required").status_code == here("fresh").status_code == 200
    clock.advance(1)
    assert (here("required").status_code, here("fresh").status_code) == (200, 401)
    assert here("sign-in/ada").status_code == 200
    assert here("fresh").status_code == 200


def new_hash(users):
    users.update(password=make_password("other"))


def deactivation(users):
    users.update(is_active=False)


def removal(users):
    users._raw_delete("default")


@pytest.mark.parametrize("change", [new_hash, deactivation, removal])
def test_whom_django_refuses_is_not_signed_in(browser, ada, change):
    here, there = browser("ada"), browser("ada")
    other = manager().get_user_sessions(ada.pk)[1]
    change(get_user_model().objects.filter(pk=ada.pk))  # of which no signal tells
    assert [here("required").status_code, here("fresh").status_code] == [401, 401]
    for browse in (here, there):
        assert browse("others").json() == {"ended": 0}
        assert browse(f"end/{other}").json() == {"ended": False}
        assert browse("everywhere").json() == {"ended": 0}


def test_a_view_that_is_an_async_class_is_guarded_too(set_up):
    set_up()
    request = RequestFactory().get("/")
    request.session = redisess_django.sessions.SessionStore()
    view = session_required(Page.as_view())
    assert iscoroutinefunction(view)
    assert asyncio.run(view(request)).status_code == 401


@pytest.mark.parametrize("call", [kill_user, helpers.sessions])
def test_who_is_no_user_is_refused(set_up, database, call):
    set_up()
    with pytest.raises(TypeError, match="user: Group given"):
        call(Group.objects.create(name="staff"))


@pytest.mark.parametrize("path", ["others", "everywhere", "end/x"])
def test_for_whom_django_signs_out_nothing_is_stored(browser, ada, path):
    here = browser("ada")
    new_hash(get_user_model().objects.filter(pk=ada.pk))
    assert here(path).json()["ended"] in (0, False)
    assert manager().count() == 0


def test_a_user_whom_a_middleware_set_counts_in_async_code_too(set_up, ada):
    set_up()
    request = RequestFactory().get("/")
    request.session = redisess_django.sessions.SessionStore(
        manager().create(str(ada.pk), data={"_auth_user_id": str(ada.pk)}).token
    )
    for user, status in ((AnonymousUser(), 401), (ada, 200)):
        request.user = user
        assert required(request).status_code == asyncio.run(arequired(request)).status_code == status


def test_a_stranger_who_only_wrote_is_not_signed_in(browser):
    stranger = browser()
    stranger("put/a/b")
    assert stranger("required").status_code == 401


@pytest.mark.parametrize("given", [{"fresh": -1}, {"fresh": "60"}])
def test_a_wrong_freshness_is_refused_when_the_view_is_made(given):
    with pytest.raises((TypeError, ValueError), match="fresh: "):
        session_required(**given)
    with pytest.raises(TypeError, match="int given"):
        session_required(60)


def test_a_cleared_session_of_another_adapter_leaves_no_field_to_who_signs_in(set_up, ada):
    set_up(additional_fields=["role"])
    theirs = manager().create("theirs", role="admin", data={"secret": 1})
    store = redisess_django.sessions.SessionStore(theirs.token)
    store.in_request = True
    store.load()
    store.clear()
    store["_auth_user_id"] = str(ada.pk)
    store.save()
    (session,) = manager().list_user_sessions(ada.pk)
    assert session.role is None
    assert manager().count() == 1
