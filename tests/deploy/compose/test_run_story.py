"""The configuration of `compose.yaml`, executed without containers.

Real PostgreSQL, Redis and Apache Kafka, and our own processes with exactly the arguments, variables, files and secrets
that each container is given, and no others: a mount that is missing there is missing here. Only names that a container
network resolves, ports and the roots of paths are other ones.
"""

import asyncio
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, Gauge, start_http_server

from lychgate.replay.metrics import ReplayMetrics
from tests.builders.deployed import WITHIN_S, Brought, answers, await_true, bring, fetch, passwords, refund, trusted
from tests.builders.patience import PATIENCE_S
from tests.builders.private import private
from tests.servers.composed import Container, project
from tests.servers.kafka.admin import create_topic
from tests.servers.kafka.server import own_server
from tests.servers.panels import draws
from tests.servers.ports import free_port
from tests.servers.postgres import Logins, Postgres, logins_of
from tests.servers.prometheus import running as prometheus

ROOT = Path(__file__).parents[3]


class Machine:
    """A machine on which the project's containers are put as processes.

    Args:
        folder: Its own; volumes are folders in it, and each container's root.
        found: The project.
        secrets: Name to text.
        names: `host:port` as containers know it, to where it is here.
    """

    def __init__(self, folder: Path, found: dict[str, Any], secrets: dict[str, str], names: dict[str, str]) -> None:
        self._folder, self._found, self._secrets, self._names = folder, found, secrets, names

    def root(self, name: str) -> Path:
        """A container's root, with what is mounted in it and nothing else."""
        container, root = self._found["services"][name], self._folder / name
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        for mount in sorted(container.get("volumes", []), key=lambda each: str(each["target"])):
            place = root / str(mount["target"]).lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            if mount["type"] == "volume":
                volume = self._folder / "volumes" / mount["source"]
                volume.mkdir(parents=True, exist_ok=True)
                if place.exists():  # a volume in a volume
                    place.rmdir()
                place.symlink_to(volume)
            elif Path(mount["source"]).is_dir():
                shutil.copytree(mount["source"], place)
            else:
                place.write_text(self.here(Path(mount["source"]).read_text(), root))
        for secret in container.get("secrets", []):
            place = root / str(secret["target"]).lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            private(place, f"{self._secrets[secret['source']]}\n")
            place.chmod(0o440 if os.geteuid() == 0 else 0o400)  # root's, for a group, as deploy/compose/secrets has it
        return root

    def here(self, text: str, root: Path) -> str:
        """A text with this machine's paths and addresses."""
        for path in ("/etc/lychgate", "/run/secrets", "/var/lib/lychgate"):
            text = text.replace(path, f"{root}{path}")
        for name, address in self._names.items():
            text = text.replace(name, address)
        return text

    def environment(self, name: str, root: Path) -> dict[str, str]:
        """A container's variables: the image's, and its own."""
        own = self._found["services"][name].get("environment") or {}
        kept = {each: os.environ[each] for each in ("PATH", "HOME") if each in os.environ}
        config = {"LYCHGATE_CONFIG": f"{root}/etc/lychgate/lychgate.yaml", "PYTHONPATH": str(ROOT)}
        return {**kept, **config, **{key: self.here(value, root) for key, value in own.items()}}

    def command(self, name: str) -> list[str]:
        """What one of our containers runs."""
        return [sys.executable, "-P", "-m", "lychgate", *self._found["services"][name]["command"]]

    @contextmanager
    def running(self, name: str) -> Iterator[Path]:
        """One of our containers as a process; gives the file of what it says."""
        root = self.root(name)
        log = self._folder / f"{name}.log"
        with log.open("wb") as said:
            process = subprocess.Popen(
                self.command(name), cwd=root, env=self.environment(name, root), stderr=said, stdout=said
            )
        try:
            yield log
            assert process.poll() is None, log.read_text()
        finally:
            process.terminate()
            try:
                assert process.wait(60) == 0, log.read_text()
            finally:
                process.kill()


def topics(container: Container) -> Iterator[tuple[str, int, dict[str, str]]]:
    """The topics that the one-shot container makes."""
    for line in container["command"][0].splitlines():
        words = shlex.split(line)
        if words[:2] == ["topic", "--topic"]:
            settings = dict(words[at + 1].split("=", 1) for at, word in enumerate(words) if word == "--config")
            yield words[2], int(words[words.index("--partitions") + 1]), settings


@contextmanager
def broker(folder: Path, container: Container) -> Iterator[str]:
    """Apache Kafka with the properties that the container's variables are; the listeners are on free ports."""
    variables = {key.removeprefix("KAFKA_"): value for key, value in container["environment"].items()}
    given = {
        key.lower().replace("_", "."): value
        for key, value in variables.items()
        if key not in {"LISTENERS", "ADVERTISED_LISTENERS", "CONTROLLER_QUORUM_VOTERS", "LOG_DIRS", "CLUSTER_ID"}
    }
    folder.mkdir()
    server = own_server(folder, settings=given)
    server.start()
    try:
        for name, partitions, settings in topics(project()["services"]["topics"]):
            asyncio.run(create_topic(server.bootstrap_servers, name, partitions, settings=settings))
        yield server.bootstrap_servers
    finally:
        server.kill()


@contextmanager
def redis(machine: Machine, container: Container, port: int) -> Iterator[None]:
    """Redis by the container's own command line, and asked for its health as the engine would."""
    root = machine.root("redis")
    (script,) = container["command"]
    (tmpfs,) = (each.partition(":")[0] for each in container["tmpfs"])
    (root / tmpfs.lstrip("/")).mkdir()
    script = machine.here(script, root).replace(f"{tmpfs}/", f"{root}{tmpfs}/")
    script = script.replace("--save", f"--port {port} --bind 127.0.0.1 --dir {root}{tmpfs} --save")
    process = subprocess.Popen([*container["entrypoint"], script], stdout=subprocess.DEVNULL)
    try:
        check = machine.here(container["healthcheck"]["test"][1], root).replace("redis-cli", f"redis-cli -p {port}")

        def healthy() -> bool:
            return subprocess.run(["/bin/sh", "-c", check], capture_output=True, check=False).returncode == 0

        await_true(healthy, lambda: "redis does not answer")
        yield
    finally:
        process.terminate()
        assert process.wait(PATIENCE_S) == 0


def healthy(container: Container, names: dict[str, str]) -> bool:
    """Whether a container's own health check says so."""
    _, _, option, script = container["healthcheck"]["test"]
    for name, address in names.items():
        script = script.replace(name, address)
    return subprocess.run([sys.executable, option, script], capture_output=True, check=False).returncode == 0


@pytest.fixture
def own_logins(postgres: Postgres) -> Iterator[Logins]:
    """A database without anything in it, and how its users will log in."""
    name = postgres.create()
    yield logins_of(postgres, name)
    postgres.drop(name)


@pytest.mark.timeout(300)  # a broker, a store, Redis, Prometheus and four processes of ours
def test_an_event_lands_and_is_read(tmp_path: Path, own_logins: Logins) -> None:
    """Migrated, ready in the order that is declared; a refusal goes through Kafka into the store, and is read back."""
    brought = bring(tmp_path / "rules")
    found = project(
        LYCHGATE_ISSUERS=re.sub(r"\s+", " ", _json(trusted(str(brought.folder / "keys.json")))),
        LYCHGATE_SERVICES='{"audit":"http://query:8082","product":"http://127.0.0.1:1"'
        + "".join(f',"{name}":"http://127.0.0.1:1"' for name in _OTHERS)
        + "}",
        LYCHGATE_WORKERS="1",
    )
    services = found["services"]
    users = passwords(own_logins, tmp_path / "secrets")
    secrets = {name: (tmp_path / "secrets" / name).read_text().strip() for name in users}
    secrets |= {"redis-password": "a-password-of-the-test", "fleet-key": "5e" * 32}
    ports = {name: free_port() for name in ("gateway", "ops", "query", "metrics", "redis")}
    with ExitStack() as stack:
        kafka = stack.enter_context(broker(tmp_path / "broker", services["kafka"]))
        names = _names(own_logins, kafka, ports)
        machine = Machine(tmp_path, found, secrets, names)
        stack.enter_context(redis(machine, services["redis"], ports["redis"]))
        root = machine.root("migrate")
        migrated = subprocess.run(
            machine.command("migrate"),
            cwd=root,
            env=machine.environment("migrate", root),
            capture_output=True,
            check=False,
        )
        assert migrated.returncode == 0, migrated.stderr.decode()
        gateway = stack.enter_context(machine.running("gateway"))
        consumer = stack.enter_context(machine.running("consumer"))
        query = stack.enter_context(machine.running("query"))
        for name, log in (("gateway", gateway), ("consumer", consumer), ("query", query)):
            await_true(lambda name=name: healthy(services[name], names), log.read_text)  # type: ignore[misc]
        assert refund(f"http://127.0.0.1:{ports['gateway']}", brought) == 403
        denials = "SELECT count(*) AS n FROM audit_events WHERE status = 403"
        await_true(lambda: fetch(own_logins.owner, denials)[0]["n"] == 1, consumer.read_text)
        assert _read(ports["gateway"], brought)
        assert answers(f"http://127.0.0.1:{ports['metrics']}/metrics")
        watched(tmp_path, names, lambda: _traffic(f"http://127.0.0.1:{ports['gateway']}", brought))
        kept = {path.name for path in (tmp_path / "volumes" / "spool").iterdir()}
        assert kept == {"gateway-supervisor", "gateway-w0", "query"}
        assert (tmp_path / "volumes" / "gateway-state" / "keys" / "context.jwk").exists()
        assert (tmp_path / "volumes" / "query-state" / "keys" / "cursor.key").exists()
    for name in ("gateway", "consumer", "query"):
        said = (tmp_path / f"{name}.log").read_text()
        assert not [text for text in secrets.values() if text in said]


SELDOM = {
    "Clock against the store's": "in the direct form only: here the consumer writes the store",
    "Certificate ends in": "nothing without TLS",
    "Unsealed": "nothing is sealed without a key",
    "Signs of tampering": "nothing is sealed without a key",
    "Asked by other proxies and services": "the doors are closed, and nobody asks",
    "Sent twice": "each service has one address, and there is nobody to try",
    "Age of the context key": "no key has an end",
    "An answer at a door, p99": "the doors are closed",
    "Shadow": "no candidate is configured",
    "Spans lost": "nothing is traced",
}
"""Panels that may be empty here, and why."""


WELL = (
    "Gateway(NoneReady|NotReady|Worker.*|InstallFailed|Rules.*|Reload.*|Certificate.*|ContextKey.*|Issuer.*|Redis.*"
    "|Revocations.*|Faults|Policy.*|Denials.*|Tokens.*|Shadow.*|Spans.*)|GatewaysDisagree"
)
"""What must be silent here; that services are away is what the traffic shows."""


def watched(folder: Path, names: dict[str, str], traffic: Callable[[], None]) -> None:
    """A real Prometheus with the container's own scrape configuration gives every panel something to show."""
    config = (ROOT / "deploy" / "compose" / "prometheus.yml").read_text()
    for name in ("gateway:8081", "query:8082", "consumer:9464"):
        host, port = name.split(":")
        address = names.get(f"http://{name}", names[f"127.0.0.1:{port}"]).removeprefix("http://")
        config = config.replace(f'"{host}:{port}"', f'"{address}"')
    config = config.replace("15s", "1s")
    for rules in (ROOT / "deploy" / "prometheus").glob("*.rules.yml"):
        assert f"- {rules.name}" in config
        config = config.replace(f"- {rules.name}", f"- {rules}")
    place = folder / "prometheus"
    place.mkdir()
    with textfiles() as port, prometheus(place, f"{config}\n{_NODE.format(port=port)}") as server:
        missing = {draw: draw.expr.replace("$__rate_interval", "30s") for draw in draws()}

        def shown() -> bool:
            traffic()
            for draw, expr in list(missing.items()):
                if server.series(expr) or draw.title in SELDOM:
                    del missing[draw]
            return not missing

        await_true(shown, lambda: "\n".join(f"{draw.title}: {draw.expr}" for draw in missing))
        assert server.series('up{job=~"lychgate-.*"} == 1') == 3
        # Pending is enough to be wrong: with a scrape a second nothing here lasts as long as an alert waits.
        assert server.series(f'ALERTS{{alertname=~"{WELL}"}}') == 0


def _traffic(gateway: str, brought: Brought) -> None:
    """A refusal, and a request for a service that is not there."""
    assert refund(gateway, brought) == 403
    answer = httpx.get(f"{gateway}/orders", headers=brought.bearer("Cashier"), timeout=30, trust_env=False)
    assert answer.status_code in {502, 503}


_NODE = """
  - job_name: node
    static_configs:
      - targets: ["127.0.0.1:{port}"]
"""


@contextmanager
def textfiles() -> Iterator[int]:
    """What the node exporter shows of the textfiles that our commands write; gives its port."""
    registry = CollectorRegistry()
    Gauge("audit_coverage_ratio", "As the scanner writes it.", ["service"], registry=registry).labels("order").set(1)
    ReplayMetrics(registry).show(0, [], [], 0.0)
    server, thread = start_http_server(0, "127.0.0.1", registry)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


_OTHERS = ("order", "inventory", "loyalty", "payment", "customer", "integration")


def _names(logins: Logins, kafka: str, ports: dict[str, int]) -> dict[str, str]:
    """What containers call each other, and their ports, to what they are here."""
    at = re.fullmatch(r"postgresql://[^@]*@([^:]+):(\d+)/(\w+)", logins.owner)
    assert at is not None
    return {
        "host: postgres\n": f"host: {at[1]}\n  port: {at[2]}\n  database: {at[3]}\n",
        "kafka:9092": kafka,
        "redis:6379": f"127.0.0.1:{ports['redis']}",
        "http://gateway:8081": f"http://127.0.0.1:{ports['ops']}",
        "http://query:8082": f"http://127.0.0.1:{ports['query']}",
        "127.0.0.1:8081": f"127.0.0.1:{ports['ops']}",
        "127.0.0.1:8082": f"127.0.0.1:{ports['query']}",
        "127.0.0.1:9464": f"127.0.0.1:{ports['metrics']}",
        "consumer_metrics_port: 9464": f"consumer_metrics_port: {ports['metrics']}",
        "ops:\n  host: 0.0.0.0": f"ops:\n  port: {ports['ops']}\n  host: 127.0.0.1",
        "query:\n  host: 0.0.0.0": f"query:\n  port: {ports['query']}\n  host: 127.0.0.1",
        "consumer_metrics_host: 0.0.0.0": "consumer_metrics_host: 127.0.0.1",
        "gateway:\n  routes_file": f"gateway:\n  host: 127.0.0.1\n  port: {ports['gateway']}\n  routes_file",
    }


def _json(value: object) -> str:
    import json

    return json.dumps(value)


def _read(port: int, brought: Brought) -> bool:
    """Whether an auditor finds the refusal through the gateway; the query API needs the gateway's key for that."""
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        answer = httpx.get(
            f"http://127.0.0.1:{port}/audit/events",
            params={"outcome": "failure", "limit": 50},
            headers=brought.bearer("Auditor"),
            timeout=30,
            trust_env=False,
        )
        if answer.status_code == 200 and any(event.get("status") == 403 for event in answer.json()["data"]):
            return True
        time.sleep(0.1)
    raise AssertionError(f"{answer.status_code}: {answer.text[:500]}")
