import os

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import migrations, models


def add_owner(apps, schema_editor):
    """Who looks after the shop, where a variable says by which password."""
    if os.environ.get("ADMIN_PASSWORD"):
        apps.get_model("auth", "User").objects.create(
            username="ada", password=make_password(os.environ["ADMIN_PASSWORD"]), is_staff=True, is_superuser=True,
        )


def key():
    return ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"))


class Migration(migrations.Migration):
    initial = True
    dependencies = [migrations.swappable_dependency(settings.AUTH_USER_MODEL), ("auth", "0012_alter_user_first_name_max_length")]
    operations = [
        migrations.CreateModel("Note", [key(), ("text", models.CharField(max_length=200))]),
        migrations.CreateModel("Migrated", [key(), ("server", models.CharField(max_length=24)), ("release", models.CharField(max_length=60))]),
        migrations.RunPython(add_owner),
    ]
