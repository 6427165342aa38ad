"""The section `samples` of `lychgate.yaml`: the seven sample services.

`lychgate.settings` reads it, `services.run` takes from it what each part needs.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, model_validator

from audit.private_file import PrivatePath

ServiceName = Literal["product", "order", "inventory", "loyalty", "payment", "customer", "integration"]
Port = Annotated[int, Field(ge=0, le=65535)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SamplePorts(_Section):
    """Where each service listens; 0 lets the system choose, which is what tests do."""

    product: Port = 9001
    order: Port = 9002
    inventory: Port = 9003
    loyalty: Port = 9004
    payment: Port = 9005
    customer: Port = 9006
    integration: Port = 9007


class TrustSettings(_Section):
    """Whose security contexts the services believe.

    Attributes:
        issuer: The `iss` claim of contexts: the gateway's `context.issuer`.
        jwks_url: Where the gateway publishes the keys it signs with.
        secret_files: For `context.alg: HS256` instead: service name to a file with the `oct` JWK it shares with the
            gateway. A service that is named here asks nobody for keys.
    """

    issuer: str = "lychgate"
    jwks_url: str = "http://127.0.0.1:8081/.well-known/jwks.json"
    secret_files: dict[ServiceName, PrivatePath] = {}


class MachineSettings(_Section):
    """Where a service's own machine token comes from; none: the service calls no other.

    Attributes:
        token_file: A file with the token, read anew for each use; or
        issuer_url: a development issuer's `POST /token`, asked for one as
        user: this user (the service's name, which the gateway compares) of
        tenant: this tenant with
        role: this role of the catalogue, one that machines hold.
    """

    token_file: PrivatePath | None = None
    issuer_url: str | None = None
    user: str = "integration"
    tenant: str = "platform"
    role: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.token_file is not None and self.issuer_url is not None:
            raise ValueError("give either token_file or issuer_url")
        if self.issuer_url is not None and self.role is None:
            raise ValueError("issuer_url needs the role to ask for")
        return self


class OnwardSettings(_Section):
    """How a service calls another in the caller's name.

    Attributes:
        exchange_url: The gateway's `POST /context/exchange`.
        machine: See `MachineSettings`.
        timeout_s: Patience with each call.
    """

    exchange_url: str = "http://127.0.0.1:8081/context/exchange"
    machine: MachineSettings = MachineSettings()
    timeout_s: PositiveFloat = 5.0


class SamplesSettings(_Section):
    """Section `samples`.

    Attributes:
        host: Where the services listen; loopback unless configured.
        ports: See `SamplePorts`.
        trust: See `TrustSettings`.
        onward: See `OnwardSettings`.
        heartbeat_s: How long an event stream may be silent before it shows that it lives.
        drain_s: How long requests may finish after a stop was asked for.
    """

    host: str = "127.0.0.1"
    ports: SamplePorts = SamplePorts()
    trust: TrustSettings = TrustSettings()
    onward: OnwardSettings = OnwardSettings()
    heartbeat_s: PositiveFloat = 15.0
    drain_s: PositiveFloat = 5.0
