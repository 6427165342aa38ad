"""The section `shadow` of `lychgate.yaml`: policies that are tried beside those in force, never in effect."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from gateway.settings import Section


class ShadowSettings(Section):
    """`shadow`: a second set of policies, decided beside the live one on what is recorded.

    Attributes:
        folder: Where its `.cedar` files and its schema are; none for no shadow. It is followed like the live
            ones (`policies.watch`), and read anew on SIGHUP.
        sample: The share of decisions that it is asked about, from 0 to 1; chosen by the decision's id, so that every
            gateway of a fleet chooses alike.
        events_per_s: At most so many divergences a second are recorded as events; all of them are counted.
    """

    folder: Path | None = None
    sample: Annotated[float, Field(ge=0, le=1)] = 0.1
    events_per_s: Annotated[int, Field(ge=0, le=1000)] = 10
