from django.db import models


class Note(models.Model):
    text = models.CharField(max_length=200)


class Migrated(models.Model):
    server = models.CharField(max_length=24)
    release = models.CharField(max_length=60)
