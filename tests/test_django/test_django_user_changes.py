"""What becomes of a user's sessions when the user's password, activity or existence changes."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model, login, update_session_auth_hash
from django.contrib.auth.hashers import make_password
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.db.models import CASCADE, AutoField, Model, OneToOneField, TextField
from django.db.models.deletion import Collector
from django.db.models.signals import post_save
from django.http import HttpRequest, JsonResponse
from django.test import Client
from django.urls import path

from redisess_core import StoreUnavailable
from redisess_django import manager, users
from redisess_django.sessions import SessionStore
from support.django_project import DJANGOS, OURS
from support.django_site import urlpatterns as site_urls


def change_password(request: HttpRequest) -> JsonResponse:
    request.user.set_password("other")
    request.user.save()
    update_session_auth_hash(request, request.user)
    return JsonResponse({})


def reset_password(request: HttpRequest, name: str) -> JsonResponse:
    user = get_user_model().objects.get(username=name)
    user.set_password("other")
    user.save(update_fields=["password"])
    return JsonResponse({})


def leave(request: HttpRequest) -> JsonResponse:
    request.user.delete()
    request.session["goodbye"] = True
    return JsonResponse({})


def look_and_reset(request: HttpRequest, name: str, key: str) -> JsonResponse:
    """Say in a mail where the user is signed in, then reset the password."""
    looked_at = SessionStore(key)
    assert looked_at["_auth_user_id"]
    return reset_password(request, name)


def begin(request: HttpRequest, name: str) -> JsonResponse:
    """Sign in, and set a password, in one request."""
    user = get_user_model().objects.get(username=name)
    login(request, user, "django.contrib.auth.backends.ModelBackend")
    request.session.save()
    request.user.set_password("other")
    request.user.save()
    update_session_auth_hash(request, request.user)
    return JsonResponse({})


urlpatterns = [
    path("look-and-reset/<name>/<key>", look_and_reset),
    path("begin/<name>", begin),
    *site_urls,
    path("change-password", change_password),
    path("reset-password/<name>", reset_password),
    path("leave", leave),
]


def signed_in(name: str) -> Client:
    client = Client()
    assert client.get(f"/sign-in/{name}").status_code == 200
    return client


def user_of(client: Client) -> Any:
    return client.get("/me").json()["user"]


@pytest.fixture(params=[1, 8])
def shards(request):
    return request.param


@pytest.fixture(params=[OURS, DJANGOS], ids=["ours", "django's"])
def middleware(request):
    return request.param


@pytest.fixture
def site(set_up, middleware, shards, ada, bob):
    set_up(session_middleware=middleware, shards=shards, ROOT_URLCONF=__name__)


def test_a_new_password_ends_the_users_other_sessions(site, ada):
    here, there, bobs = signed_in("ada"), signed_in("ada"), signed_in("bob")
    key = here.cookies["sessionid"].value
    assert here.get("/change-password").status_code == 200
    assert manager().count_for_user(ada.pk) == 1
    assert [user_of(client) for client in (here, there, bobs)] == ["ada", None, "bob"]
    assert here.cookies["sessionid"].value != key


def test_a_reset_by_another_or_by_nobody_ends_all(site, ada):
    for client in (signed_in("bob"), Client()):
        signed_in("ada")
        assert manager().count_for_user(ada.pk) == 1
        assert client.get("/reset-password/ada").status_code == 200
        assert manager().count_for_user(ada.pk) == 0
        ada.set_password("secret")
        ada.save()
    assert user_of(signed_in("bob")) == "bob"


def test_a_reset_ends_also_the_session_that_its_view_looked_at(site, ada):
    key = signed_in("ada").cookies["sessionid"].value
    assert Client().get(f"/look-and-reset/ada/{key}").status_code == 200
    assert manager().count_for_user(ada.pk) == 0


def test_who_sets_a_password_as_soon_as_signed_in_stays_so(site, ada):
    client = Client()
    assert client.get("/begin/ada").status_code == 200
    assert user_of(client) == "ada"


def test_a_new_password_outside_of_a_request_ends_all(site, ada):
    client = signed_in("ada")
    assert user_of(client) == "ada"
    ada.set_password("other")
    ada.save()
    assert manager().count_for_user(ada.pk) == 0


@pytest.mark.parametrize("fields", [None, ["password"]])
def test_a_password_that_is_taken_away_or_written_as_a_hash_is_a_new_one(set_up, ada, fields):
    set_up()
    for change in (ada.set_unusable_password, lambda: setattr(ada, "password", make_password("other"))):
        manager().create(str(ada.pk))
        change()
        ada.save(update_fields=fields)
        assert manager().count_for_user(ada.pk) == 0


def test_who_is_let_in_without_being_active_stays_signed_in(set_up, ada):
    set_up(AUTHENTICATION_BACKENDS=["django.contrib.auth.backends.AllowAllUsersModelBackend"], ROOT_URLCONF=__name__)
    ada.is_active = False
    ada.save()
    first, second = Client(), Client()
    for client in (first, second):
        client.get("/put/cart/tea")
        assert client.login(username="ada", password="secret")
    assert [user_of(client) for client in (first, second)] == ["ada", "ada"]


def test_what_is_no_user_is_deleted_as_fast_as_ever(set_up, ada):
    set_up()
    assert Collector(using="default").can_fast_delete(Session.objects.all())
    assert not Collector(using="default").can_fast_delete(get_user_model().objects.all())


@pytest.mark.parametrize("changed", [{"password": "another hash"}, {"is_active": False}], ids=str)
def test_a_receiver_that_saves_the_user_once_more_hides_nothing(set_up, ada, changed):
    set_up()
    again = []

    def save_again(instance, **_):
        if not again:
            again.append(instance)
            instance.save()

    receivers, post_save.receivers = post_save.receivers, []
    post_save.connect(save_again, get_user_model())
    post_save.receivers += receivers  # of a module of models, it is there before the app's own
    post_save.sender_receivers_cache.clear()
    try:
        manager().create(str(ada.pk))
        vars(ada).update(changed)
        ada.save()
    finally:
        post_save.disconnect(save_again, get_user_model())
    assert again
    assert manager().count_for_user(ada.pk) == 0


def test_who_is_saved_as_inactive_has_no_session_whatever_was_before(set_up, ada):
    set_up()
    get_user_model().objects.filter(pk=ada.pk).update(is_active=False)
    manager().create(str(ada.pk))
    ada.refresh_from_db()
    ada.save()
    assert manager().count_for_user(ada.pk) == 0


def test_users_who_have_neither_a_password_nor_an_activity_can_be_saved(set_up, database, monkeypatch):
    set_up()

    class Guest(Model):
        name = TextField()

        class Meta:
            app_label = "tests"

    monkeypatch.setattr(users, "get_user_model", lambda: Guest)
    users._follow(Guest)
    with connection.schema_editor() as editor:
        editor.create_model(Guest)
    try:
        guest = Guest.objects.create(name="eve")
        manager().create(str(guest.pk))
        guest.name = "Eve"
        guest.save()
        assert manager().count_for_user(guest.pk) == 1
        pk, _ = guest.pk, guest.delete()
        assert manager().count_for_user(pk) == 0
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(Guest)


def test_who_sends_the_signal_of_a_save_by_hand_ends_nothing(set_up, ada):
    set_up()
    manager().create(str(ada.pk))
    post_save.send(type(ada), instance=ada, created=False, raw=False, using="default", update_fields=None)
    assert manager().count_for_user(ada.pk) == 1


def test_a_class_of_users_with_a_key_of_its_own_is_known_by_the_users(set_up, ada, bob):
    set_up()

    class Employee(get_user_model()):  # type: ignore[misc]
        number = AutoField(primary_key=True)
        boss = OneToOneField(get_user_model(), CASCADE, parent_link=True, related_name="+")

        class Meta:
            app_label = "tests"

    with connection.schema_editor() as editor:
        editor.create_model(Employee)
    try:
        employee = Employee.objects.create(username="eve", password="x")
        ids = [str(employee.pk), str(employee.id)]
        for user_id in ids:
            manager().create(user_id)
        employee.first_name = "Eve"
        employee.save()
        assert [manager().count_for_user(user_id) for user_id in ids] == [1, 1]
        employee.is_active = False
        employee.save()
        assert [manager().count_for_user(user_id) for user_id in ids] == [1, 0]
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(Employee)


def test_what_is_no_new_password_ends_nothing(site, ada, bob):
    client = signed_in("ada")
    ada.first_name = "Ada"
    ada.save()
    ada.set_password("other")
    ada.save(update_fields=["first_name"])
    ada.refresh_from_db()
    ada._password = None
    assert ada.check_password("secret")
    get_user_model().objects.create_user("eve", password="secret")
    assert user_of(client) == "ada"


def test_the_upgrade_of_a_hash_at_a_sign_in_ends_nothing(set_up, ada):
    set_up()
    client = signed_in("ada")
    hashers = [
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
        "django.contrib.auth.hashers.MD5PasswordHasher",
    ]
    set_up(PASSWORD_HASHERS=hashers)
    signed_in("ada")
    ada.refresh_from_db()
    assert ada.password.startswith("pbkdf2")
    assert manager().count_for_user(ada.pk) == 2
    assert client.get("/untouched").status_code == 200


def test_a_project_can_leave_that_to_django(set_up, ada):
    set_up(end_on_password_change=False)
    signed_in("ada")
    ada.set_password("other")
    ada.save()
    assert manager().count_for_user(ada.pk) == 1


def test_a_deactivated_user_has_no_session(site, ada):
    client = signed_in("ada")
    ada.is_active = False
    ada.save()
    assert manager().count_for_user(ada.pk) == 0
    assert user_of(client) is None


def test_a_deleted_user_has_no_session(site, ada):
    pk, client = ada.pk, signed_in("ada")
    get_user_model().objects.filter(pk=pk).delete()
    assert manager().count_for_user(pk) == 0
    assert user_of(client) is None


def test_who_leaves_goes_on_with_a_session_of_nobody(site, ada):
    client, other = signed_in("ada"), signed_in("ada")
    pk, key = ada.pk, client.cookies["sessionid"].value
    assert client.get("/leave").status_code == 200
    assert manager().count_for_user(pk) == 0
    assert client.cookies["sessionid"].value not in ("", key)
    assert client.get("/me").json() == {"user": None, "data": {"goodbye": True}}
    assert user_of(other) is None


def test_a_user_saved_by_a_proxy_of_the_model_is_followed_too(set_up, ada):
    set_up()

    class Member(get_user_model()):  # type: ignore[misc]
        class Meta:
            proxy = True
            app_label = "tests"

    signed_in("ada")
    member = Member.objects.get(pk=ada.pk)
    member.is_active = False
    member.save()
    assert manager().count_for_user(ada.pk) == 0


def test_a_sign_in_between_the_change_and_its_commit_is_ended_too(set_up, ada):
    set_up()
    with transaction.atomic():
        ada.set_password("other")
        ada.save()
        manager().create(str(ada.pk))  # of a process that sees the old password
    assert manager().count_for_user(ada.pk) == 0


def new_password(user):
    user.set_password("other")
    user.save()


def deactivate(user):
    user.is_active = False
    user.save()


def delete(user):
    get_user_model().objects.get(pk=user.pk).delete()


@pytest.mark.parametrize("change", [new_password, deactivate, delete])
def test_what_is_rolled_back_ends_nothing(set_up, ada, change):
    set_up()
    client = signed_in("ada")
    with transaction.atomic():
        change(ada)
        transaction.set_rollback(True)
    assert user_of(client) == "ada"


def test_who_leaves_in_a_transaction_of_the_request_is_signed_out_by_its_end(site, monkeypatch, ada):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    client = signed_in("ada")
    pk = ada.pk
    assert client.get("/leave").status_code == 200
    assert manager().count_for_user(pk) == 0
    assert user_of(client) is None


@pytest.mark.parametrize("change", [new_password, deactivate, delete])
def test_what_could_not_be_ended_is_said_with_the_user(set_up, ada, start_server, caplog, change):
    server = start_server()
    set_up(server.url)
    server.stop()
    pk = ada.pk
    with pytest.raises(StoreUnavailable):
        change(ada)
    (record,) = [each for each in caplog.records if each.levelname == "ERROR"]
    assert f"user {pk} " in record.getMessage()
