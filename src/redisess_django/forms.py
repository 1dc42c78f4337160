"""The form that asks who is signed in for the password."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.auth import authenticate
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.http import HttpRequest


class PasswordForm(forms.Form):
    """Asks for the password of `request.user`; once it is valid, `user` is who it proved to be."""

    password = forms.CharField(
        label=_("Password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password", "autofocus": True}),
    )

    def __init__(self, request: HttpRequest, data: Any = None) -> None:
        super().__init__(data)
        self.request = request
        self.user: AbstractBaseUser | None = None

    @sensitive_variables("password")
    def clean_password(self) -> str:
        """Check it as a sign-in does: by any backend, and in sight of what counts attempts."""
        password: str = self.cleaned_data["password"]
        asked = self.request.user
        found: Any = authenticate(self.request, username=asked.get_username(), password=password)
        if found is None or found.pk != asked.pk:
            raise forms.ValidationError(_("This is not your password."), code="invalid_password")
        self.user = found
        return password
