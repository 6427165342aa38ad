"""Section `audit.retention`: how long rows stay."""

from typing import Annotated

from pydantic import Field

from audit.settings.section import Section

Days = Annotated[int, Field(ge=1, le=36_500)]
Tenant = Annotated[str, Field(pattern=r"^(?:[a-z0-9][a-z0-9-]{0,62}|-)$")]


class RetentionSettings(Section):
    """How long rows stay. A legal hold (`lychgate audit hold`) keeps what it names beyond that."""

    days: Days = Field(30, description="Rows older than this are hidden at once and taken away at the next run.")
    tenants: dict[Tenant, Days] = Field({}, description="Tenant to days, where they differ; `-`: of no tenant.")
    every_s: float = Field(3600.0, gt=0, description="From one purge to the next.")
    batch_rows: int = Field(5000, gt=0, le=100_000, description="Most rows deleted in one transaction.")

    def of(self, tenant: str) -> int:
        """How many days a tenant's rows stay."""
        return self.tenants.get(tenant, self.days)

    @property
    def longest(self) -> int:
        """The most days any row stays without a hold."""
        return max(self.days, *self.tenants.values(), 0)
