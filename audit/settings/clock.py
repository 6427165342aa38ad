"""Section `audit.clock`: how far this machine's clock may be from the store's."""

from pydantic import Field

from audit.settings.section import Section


class ClockSettings(Section):
    """This machine's clock against the store's, in the direct form. Ids, and so all order, are made of it."""

    skew_limit_s: float = Field(
        60.0, gt=0, le=300, description="Beyond it the gateway is not ready; the store takes no id 300 s ahead."
    )
    every_s: float = Field(5.0, gt=0, description="From one look at the store's clock to the next.")
