"""Models."""

from django.db import models


class Order(models.Model):
    name = models.CharField(max_length=20)

    def cancel(self):
        self.state = "cancelled"
        self.save()

    def label(self):
        return f"order {self.name}"
