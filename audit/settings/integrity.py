"""Section `audit.integrity`: seals over closed partitions."""

from pathlib import Path

from pydantic import Field

from audit.event import CHECKPOINT_TOPIC
from audit.private_file import PrivatePath
from audit.settings.section import Section


class IntegritySettings(Section):
    """Seals over closed partitions. Without a key none are made."""

    key_file: PrivatePath | None = Field(
        None, description="Signs: an Ed25519 private key, PEM, for its owner alone; none: no seals."
    )
    public_keys: tuple[Path, ...] = Field((), description="Whose seals are believed besides, PEM: keys of before.")
    checkpoint_file: Path = Field(
        Path(".lychgate/integrity/checkpoints.jsonl"),
        description="Every seal once more, outside the database; ship it off the machine.",
    )
    topic: str = Field(CHECKPOINT_TOPIC, description="Every seal once more, where there is a broker.")
    interval_s: float = Field(60.0, gt=0, description="How often it is looked what there is to seal.")
    seal_anyway_after_days: int = Field(
        7, ge=1, description="A producer that is away holds a seal back no longer than so many days."
    )
