"""The tables."""

from django.db import models


class Ward(models.Model):
    """A ward."""

    name = models.TextField()


class Patient(models.Model):
    """Somebody."""

    name = models.TextField()


class Visit(models.Model):
    """A visit."""

    closed = models.BooleanField()
