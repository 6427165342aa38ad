"""What changes a realm."""

from django.db import transaction
from django.utils import timezone

from .models import RealmAuditLog, UserProfile


@transaction.atomic(savepoint=False)
def do_deactivate_user(user_id, *, acting_user):
    profile = UserProfile.objects.get(pk=user_id)
    profile.is_active = False
    profile.save(update_fields=["is_active"])
    RealmAuditLog.objects.create(acting_user=acting_user, modified_user=profile, event_time=timezone.now())
