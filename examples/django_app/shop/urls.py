"""The addresses of the shop."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView, PasswordChangeView
from django.urls import include, path

from shop import views

change_password = PasswordChangeView.as_view(template_name="shop/password.html", success_url="/account/sessions/")

urlpatterns = [
    path("", views.shop, name="shop"),
    path("cart/", views.add, name="add"),
    path("sign-in/", LoginView.as_view(template_name="shop/sign_in.html"), name="sign-in"),
    path("sign-out/", LogoutView.as_view(), name="sign-out"),
    path("account/password/", change_password, name="password"),
    path("account/sessions/", include("redisess_django.urls")),
    path("admin/", admin.site.urls),
]
