"""`up`: what only the one-machine stack needs."""

from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

SEAL_KEY: Final = "keys/audit-seal.pem"
"""Below the state folder: what signs seals, where no key is configured."""
Port = Annotated[int, Field(ge=0, le=65535)]


class UpSettings(BaseModel):
    """`up`: the one-machine stack.

    Attributes:
        state_folder: Where everything that must outlive a run is kept; PostgreSQL, spools, keys, logs.
        postgres_port: PostgreSQL's port; 0 for a free one.
        issuer_port: The development issuer's port.
        ready_within_s: How long a process may take to become ready.
        stop_within_s: How long a process may take to stop before it is killed.
        token_ttl_s: How long the printed tokens hold.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    state_folder: Path = Path(".lychgate")
    postgres_port: Port = 0
    issuer_port: Port = 8084
    ready_within_s: PositiveFloat = 60.0
    stop_within_s: PositiveFloat = 40.0
    token_ttl_s: Annotated[int, Field(ge=60, le=7 * 86_400)] = 43_200

    @property
    def iss(self) -> str:
        """The development issuer's `iss`: where it is."""
        return f"http://127.0.0.1:{self.issuer_port}"
