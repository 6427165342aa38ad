"""What runs later."""

from celery import shared_task


@shared_task
def notify_ward(visit_id):
    return visit_id
