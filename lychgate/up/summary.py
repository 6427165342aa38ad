"""What `up` prints once everything is ready: a page for people, or one JSON line for scripts."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lychgate.up.offer import TENANT, Request
from lychgate.up.plan import Ports

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True)
class Summary:
    """The facts.

    Attributes:
        ports: Where everything listens.
        postgres_port: Where the store listens.
        tokens: Role to token.
        token_files: Role to the file that holds its token.
        requests: The three to try.
        logs: Where the processes write.
    """

    ports: Ports
    postgres_port: int
    tokens: Mapping[str, str]
    token_files: Mapping[str, Path]
    requests: tuple[Request, ...]
    logs: Path

    def json(self) -> str:
        """One line: `{"urls": {"gateway", "ops", "query"}, "tenant", "tokens": {role: token}}`."""
        urls = {name: self.ports.url(getattr(self.ports, name)) for name in ("gateway", "ops", "query")}
        return json.dumps({"urls": urls, "tenant": TENANT, "tokens": dict(self.tokens)}, separators=(",", ":"))

    def show(self, console: "Console") -> None:
        """For people; `curl` lines and tokens are never wrapped, so that they can be copied."""
        from rich.markup import escape  # here: scripts ask for JSON, and Rich takes its time
        from rich.table import Table

        url = self.ports.url
        places = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
        places.add_row("gateway", url(self.ports.gateway), "every request goes here")
        places.add_row("operations", url(self.ports.ops), "/readyz, /internal/metrics, POST /context/exchange")
        places.add_row("query API", url(self.ports.query), "through the gateway: /audit/events")
        places.add_row("issuer", url(self.ports.issuer), "development tokens: POST /token")
        listed = sorted(self.ports.services.values())
        places.add_row("services", f"127.0.0.1:{listed[0]}-{listed[-1]}", ", ".join(self.ports.services))
        places.add_row("PostgreSQL", f"127.0.0.1:{self.postgres_port}", f"logs of all: {self.logs}")
        console.print("\n[bold green]Lychgate is up[/]")
        console.print(places)
        console.print(f"\n[bold]One token per role[/], tenant {TENANT}; each also in its file", soft_wrap=True)
        for role, token in self.tokens.items():
            console.print(f"[bold]{escape(role)}[/] [dim]{self.token_files[role]}[/]", soft_wrap=True, highlight=False)
            console.print(escape(token), soft_wrap=True, highlight=False, style="dim")
        console.print("\n[bold]Try[/]")
        for request in self.requests:
            console.print(f"[dim]# {request.shows}, as {escape(request.role)}[/]", highlight=False)
            line = request.line(url(self.ports.gateway), self.token_files[request.role])
            console.print(escape(line), soft_wrap=True, highlight=False)
        console.print("\nCtrl-C stops everything.")
