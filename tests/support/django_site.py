"""The site of the Django tests: each view twice, blocking and under `/async/`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin
from django.contrib.auth import aauthenticate, alogin, alogout, authenticate, get_user_model, login, logout
from django.http import JsonResponse
from django.urls import path

if TYPE_CHECKING:
    from django.http import HttpRequest


def untouched(request: HttpRequest) -> JsonResponse:
    return JsonResponse({})


def me(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"user": request.user.get_username() or None, "data": data_of(request.session.items())})


def put(request: HttpRequest, key: str, value: str) -> JsonResponse:
    request.session[key] = value
    return JsonResponse({})


def append(request: HttpRequest, key: str, value: str) -> JsonResponse:
    request.session.setdefault(key, [])
    request.session[key].append(value)
    return JsonResponse({})


def sign_in(request: HttpRequest, name: str) -> JsonResponse:
    login(request, authenticate(request, username=name, password=request.GET.get("password", "secret")))
    return JsonResponse({})


def switch(request: HttpRequest, name: str) -> JsonResponse:
    """Sign in without a password, as an impersonation does."""
    login(request, get_user_model().objects.get(username=name), backend="django.contrib.auth.backends.ModelBackend")
    return JsonResponse({})


def sign_out(request: HttpRequest) -> JsonResponse:
    logout(request)
    return JsonResponse({})


def fail(request: HttpRequest) -> JsonResponse:
    request.session["failed"] = True
    raise ValueError("on purpose")


async def auntouched(request: HttpRequest) -> JsonResponse:
    return JsonResponse({})


async def ame(request: HttpRequest) -> JsonResponse:
    user = await request.auser()
    return JsonResponse({"user": user.get_username() or None, "data": data_of(await request.session.aitems())})


async def aput(request: HttpRequest, key: str, value: str) -> JsonResponse:
    await request.session.aset(key, value)
    return JsonResponse({})


async def aappend(request: HttpRequest, key: str, value: str) -> JsonResponse:
    await request.session.asetdefault(key, [])
    (await request.session.aget(key)).append(value)
    return JsonResponse({})


async def asign_in(request: HttpRequest, name: str) -> JsonResponse:
    password = request.GET.get("password", "secret")
    await alogin(request, await aauthenticate(request, username=name, password=password))
    return JsonResponse({})


async def aswitch(request: HttpRequest, name: str) -> JsonResponse:
    user = await get_user_model().objects.aget(username=name)
    await alogin(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return JsonResponse({})


async def asign_out(request: HttpRequest) -> JsonResponse:
    await alogout(request)
    return JsonResponse({})


async def afail(request: HttpRequest) -> JsonResponse:
    await request.session.aset("failed", True)
    raise ValueError("on purpose")


def data_of(items: object) -> dict[str, object]:
    return {key: value for key, value in items if not key.startswith("_")}


def both(route: str, blocking: object, awaiting: object) -> list[object]:
    return [path(route, blocking), path(f"async/{route}", awaiting)]


urlpatterns = [
    path("admin/", admin.site.urls),
    *both("untouched", untouched, auntouched),
    *both("me", me, ame),
    *both("put/<key>/<value>", put, aput),
    *both("append/<key>/<value>", append, aappend),
    *both("sign-in/<name>", sign_in, asign_in),
    *both("switch/<name>", switch, aswitch),
    *both("sign-out", sign_out, asign_out),
    *both("fail", fail, afail),
]
