"""Section `audit.retention`: how long rows stay."""

from pydantic import Field

from audit.settings.section import Section


class RetentionSettings(Section):
    """How long rows stay."""

    days: int = Field(30, ge=1, description="Rows older than this may be purged.")
