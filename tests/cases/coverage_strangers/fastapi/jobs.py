"""What runs later."""

from celery import shared_task


@shared_task
def export_project(slug):
    return slug


def reindex():
    return None
