"""Who may sign in. The passwords are in the program to keep it short."""

from django.contrib.auth.hashers import make_password
from django.db import migrations

PASSWORDS = {"ada": "engine", "grace": "nanosecond", "admin": "compiler"}


def add_people(apps, _):
    for name, password in PASSWORDS.items():
        may_all = {"is_staff": name == "admin", "is_superuser": name == "admin"}
        apps.get_model("auth", "User").objects.create(username=name, password=make_password(password), **may_all)


class Migration(migrations.Migration):
    dependencies = (("auth", "0012_alter_user_first_name_max_length"),)
    operations = (migrations.RunPython(add_people),)
