"""A page that says which backend served. Not for production: /env exists so that the tests can look inside."""
import hashlib
import os

from django.contrib import admin
from django.http import Http404, JsonResponse
from django.urls import path

from shop.models import Migrated, Note


def about(request):
    return JsonResponse({
        "server": os.environ.get("SERVERPLANE_SERVER"), "release": os.environ.get("SERVERPLANE_RELEASE"),
        "version": os.environ.get("APP_VERSION", "none"), "secure": request.is_secure(),
    })


def variable(request, name):
    if name not in os.environ:
        raise Http404
    value = os.environb[name.encode()]
    return JsonResponse({"sha256": hashlib.sha256(value).hexdigest(), "bytes": len(value)})


def notes(request):
    return JsonResponse({
        "server": os.environ.get("SERVERPLANE_SERVER"), "notes": list(Note.objects.order_by("id").values_list("text", flat=True)),
        "migrated": list(Migrated.objects.order_by("id").values("server", "release")),
    })


urlpatterns = [path("", about), path("env/<str:name>", variable), path("notes", notes), path("admin/", admin.site.urls)]
