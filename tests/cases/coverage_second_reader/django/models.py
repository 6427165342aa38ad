"""Tables."""

from django.db import models


class UserProfile(models.Model):
    is_active = models.BooleanField(default=True)


class RealmAuditLog(models.Model):
    event_time = models.DateTimeField()


class Device(models.Model):
    name = models.CharField(max_length=20)


class Notification(models.Model):
    unread = models.BooleanField(default=True)


class Project(models.Model):
    name = models.CharField(max_length=20)

    @staticmethod
    def new_key():
        return "k"


class Rule(models.Model):
    status = models.CharField(max_length=20)
