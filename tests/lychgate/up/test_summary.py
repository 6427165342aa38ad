"""What is printed once everything is ready."""

import io
import json
from pathlib import Path

from rich.console import Console

from lychgate.up.offer import Request
from lychgate.up.plan import Ports
from lychgate.up.summary import Summary

TOKEN = "e" * 300
SUMMARY = Summary(
    Ports(1, 2, 3, 4, {"product": 5, "order": 6}),
    7,
    {"Cashier": TOKEN},
    {"Cashier": Path("/t/Cashier")},
    (Request("an allow", "Cashier", "/orders"),),
    Path("logs"),
)


def test_scripts_get_one_line_of_json() -> None:
    """Exactly the promised keys."""
    line = SUMMARY.json()
    assert "\n" not in line
    assert json.loads(line) == {
        "urls": {"gateway": "http://127.0.0.1:1", "ops": "http://127.0.0.1:2", "query": "http://127.0.0.1:3"},
        "tenant": "acme",
        "tokens": {"Cashier": TOKEN},
    }


def test_people_can_copy_tokens_and_curl_lines() -> None:
    """Neither is wrapped or changed, however narrow the terminal."""
    screen = io.StringIO()
    SUMMARY.show(Console(file=screen, width=40))
    lines = screen.getvalue().splitlines()
    assert TOKEN in lines
    assert 'curl -sS -i -H "authorization: Bearer $(cat /t/Cashier)" http://127.0.0.1:1/orders' in lines


def test_a_door_with_a_certificate_is_shown_as_it_is_reached() -> None:
    """`https` for the gateway, and for nobody else."""
    ports = Ports(1, 2, 3, 4, {"product": 5}, gateway_scheme="https")
    assert [ports.url(port) for port in (1, 2, 5)] == [
        "https://127.0.0.1:1",
        "http://127.0.0.1:2",
        "http://127.0.0.1:5",
    ]
