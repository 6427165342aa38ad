"""Rows as JSON."""

from rest_framework import serializers

from .models import Patient, Visit


class PatientSerializer(serializers.ModelSerializer):
    """A patient."""

    class Meta:
        model = Patient
        fields = "__all__"


class VisitSerializer(serializers.ModelSerializer):
    """A visit."""

    class Meta:
        model = Visit
        fields = "__all__"
