"""The configuration -> which processes run, on which ports, with which variables. Pure but for asking for ports."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.settings import IssuerSettings
from lychgate.ports import free_port, require_free
from lychgate.settings import Settings
from lychgate.tokens import ALGORITHM, AUDIENCE, NAME
from lychgate.up.child import ChildSpec
from lychgate.up.settings import SEAL_KEY, UpSettings

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Ports:
    """Who listens where.

    Attributes:
        gateway: The public door.
        ops: Operations and decision API.
        query: The audit query API.
        issuer: The development issuer.
        services: Sample service to port.
        gateway_scheme: `https` where the public door has a certificate.
    """

    gateway: int
    ops: int
    query: int
    issuer: int
    services: Mapping[str, int]
    gateway_scheme: str = "http"

    def url(self, port: int) -> str:
        """How this machine reaches one of them."""
        return f"{self.gateway_scheme if port == self.gateway else 'http'}://{HOST}:{port}"


@dataclass(frozen=True, slots=True)
class Login:
    """How one of the store's users logs in: `user`, and the file with its password."""

    user: str
    password_file: Path


@dataclass(frozen=True, slots=True)
class Store:
    """Where PostgreSQL turned out to be."""

    port: int
    owner: Login
    writer: Login
    reader: Login
    keeper: Login

    @property
    def logins(self) -> Mapping[str, Login]:
        """The key in section `store` to the login."""
        return {"owner": self.owner, "writer": self.writer, "reader": self.reader, "keeper": self.keeper}


def choose_ports(settings: Settings, *, free: bool) -> Ports:
    """The configured ports, each checked; a free one for each 0, and for all if `free`.

    Raises:
        PortBusy: Names the port, what wanted it, and who has it.
    """
    taken: set[int] = set()

    def port(wanted: int, what: str, host: str = HOST) -> int:
        if wanted and not free:
            require_free(wanted, what, host)
            return wanted
        while (found := free_port()) in taken:
            pass
        taken.add(found)
        return found

    services = settings.samples.ports.model_dump()
    return Ports(
        gateway=port(settings.gateway.port, "gateway", settings.gateway.host),
        ops=port(settings.ops.port, "operations", settings.ops.host),
        query=port(settings.query.port, "query API", settings.query.host),
        issuer=port(settings.up.issuer_port, "development issuer"),
        services={name: port(wanted, f"{name} service") for name, wanted in services.items()},
        gateway_scheme="https" if settings.gateway.tls.cert_file is not None else "http",
    )


def variables(settings: Settings, ports: Ports, machine_role: str) -> dict[str, str]:
    """What the processes are told beyond the file they read themselves.

    Args:
        settings: The configuration.
        ports: Where everything listens.
        machine_role: The role services call each other with.
    """
    ops = ports.url(ports.ops)
    told: dict[str, object] = {
        "GATEWAY__PORT": ports.gateway,
        "OPS__PORT": ports.ops,
        "QUERY__PORT": ports.query,
        "QUERY__JWKS_URL": f"{ops}/.well-known/jwks.json",
        "UP__ISSUER_PORT": ports.issuer,
        "UP__STATE_FOLDER": settings.up.state_folder,
        "ISSUERS": json.dumps(_issuers(settings.issuers, ports.url(ports.issuer))),
        "SERVICES": json.dumps(
            {
                **{  # what a team adds of its own stays where it is
                    name: service.model_dump(mode="json", exclude_unset=True)
                    for name, service in settings.services.items()
                },
                **{name: ports.url(port) for name, port in {**ports.services, "audit": ports.query}.items()},
            }
        ),
        "SAMPLES__TRUST__JWKS_URL": f"{ops}/.well-known/jwks.json",
        "SAMPLES__ONWARD__EXCHANGE_URL": f"{ops}/context/exchange",
        "SAMPLES__ONWARD__MACHINE__ISSUER_URL": f"{ports.url(ports.issuer)}/token",
        "SAMPLES__ONWARD__MACHINE__ROLE": machine_role,
    }
    told |= state_paths(settings)
    told |= {f"SAMPLES__PORTS__{name.upper()}": port for name, port in ports.services.items()}
    return _as_variables(told)


def store_variables(store: Store) -> dict[str, str]:
    """What those who come to the store are told, once it is there."""
    told: dict[str, object] = {"STORE__HOST": HOST, "STORE__PORT": store.port}
    for name, login in store.logins.items():
        told[f"STORE__{name.upper()}__USER"] = login.user
        told[f"STORE__{name.upper()}__PASSWORD_FILE"] = login.password_file
    return _as_variables(told)


def _as_variables(told: Mapping[str, object]) -> dict[str, str]:
    return {f"LYCHGATE_{name}": str(value) for name, value in told.items()}


def state_paths(settings: Settings) -> dict[str, Path]:
    """Where keys, spools and the like are, by the variable that says so, of those that are in the state folder.

    Whatever stands in the default state folder moves with it; a path that was configured elsewhere stays there.
    """
    folder = settings.up.state_folder
    default = UpSettings().state_folder
    paths = {
        "AUDIT__SPOOL__FOLDER": settings.audit.spool.folder,
        "AUDIT__INTEGRITY__KEY_FILE": settings.audit.integrity.key_file or default / SEAL_KEY,
        "AUDIT__INTEGRITY__CHECKPOINT_FILE": settings.audit.integrity.checkpoint_file,
        "CONTEXT__KEY_FILE": settings.context.key_file,
        "QUERY__CURSOR_KEY_FILE": settings.query.cursor_key_file,
        "REVOCATION__FOLDER": settings.revocation.folder,
    }
    return {name: folder / path.relative_to(default) for name, path in paths.items() if path.is_relative_to(default)}


def _issuers(configured: tuple[IssuerSettings, ...], iss: str) -> list[dict[str, object]]:
    """The configured issuers, the development issuer where it runs now."""
    development = next((issuer for issuer in configured if issuer.name == NAME), None)
    base: dict[str, object] = (
        development.model_dump(mode="json", exclude_none=True, exclude={"jwks_file"})
        if development is not None
        else {"name": NAME, "audiences": [AUDIENCE], "algorithms": [ALGORITHM], "tenants": ["*"], "roles": ["*"]}
    )
    others = [i.model_dump(mode="json", exclude_none=True) for i in configured if i.name != NAME]
    return [*others, {**base, "iss": iss, "jwks_url": f"{iss}/.well-known/jwks.json"}]


def children(settings: Settings, ports: Ports, config: Path | None) -> tuple[ChildSpec, ...]:
    """The processes, in the order they are started: those that do not need the store do not wait for it."""

    def program(*words: str) -> tuple[str, ...]:
        where = ("--config", str(config)) if config is not None else ()
        return (sys.executable, "-P", "-m", "lychgate", *words, *where)

    ops, query, issuer = (ports.url(port) for port in (ports.ops, ports.query, ports.issuer))
    services = tuple(f"{ports.url(port)}/healthz" for port in ports.services.values())
    specs = [
        ChildSpec("services", program("service", "all"), services),
        ChildSpec("issuer", program("issuer"), (f"{issuer}/.well-known/jwks.json",)),
        ChildSpec("gateway", program("gateway"), (f"{ops}/readyz",), needs_store=True, stops_first=True),
        ChildSpec("query", program("query"), (f"{query}/readyz",), needs_store=True),
    ]
    if settings.audit.kafka.bootstrap_servers:
        specs.append(ChildSpec("consumer", program("consumer"), needs_store=True))
    return tuple(specs)
