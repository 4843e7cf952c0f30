from django.contrib import admin

from shop.models import Note

admin.site.register(Note)
