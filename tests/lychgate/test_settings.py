"""The whole configuration: sources, their order, and what is said about a mistake."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lychgate.errors import ConfigurationError
from lychgate.settings import Settings, inherited, load
from tests.builders.private import private

ROOT = Path(__file__).parents[2]


def read(tmp_path: Path, text: str, **environment: str) -> Settings:
    """Load a file of this text, with these variables."""
    file = tmp_path / "lychgate.yaml"
    private(file, text)
    return load(file, environment)


def complaint(tmp_path: Path, text: str = "", **environment: str) -> str:
    """What is said about a wrong configuration, without the folder's name."""
    with pytest.raises(ConfigurationError) as raised:
        read(tmp_path, text, **environment)
    return str(raised.value).replace(f"{tmp_path}/", "")


def test_the_repositorys_own_file_is_in_order() -> None:
    """lychgate.yaml loads, and trusts the development issuer."""
    settings = load(ROOT / "lychgate.yaml", {})
    assert [issuer.name for issuer in settings.issuers] == ["dev"]
    assert set(settings.services) >= {"order", "audit"}


def test_without_a_file_the_defaults_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No lychgate.yaml in the folder is no error."""
    monkeypatch.chdir(tmp_path)
    assert load(None, {}).gateway.port == 8080


def test_only_the_public_port_listens_beyond_this_machine(tmp_path: Path) -> None:
    """Every `host` of ours that is not configured is loopback, but for one."""

    def hosts(section: object, path: str) -> Iterator[tuple[str, str]]:
        for name in getattr(type(section), "model_fields", {}):
            value = getattr(section, name)
            if name == "host":
                yield f"{path}{name}", value
            yield from hosts(value, f"{path}{name}.")

    file = (ROOT / "lychgate.yaml").read_text().replace("host: 0.0.0.0", "host: 127.0.0.1")
    found = dict(hosts(read(tmp_path, file), ""))
    assert {"ops.host", "query.host", "doors.ext_authz.host", "samples.host"} <= set(found)
    assert {path for path, host in found.items() if host != "127.0.0.1"} == set()
    assert load(ROOT / "lychgate.yaml", {}).gateway.host == "0.0.0.0"  # noqa: S104 - the public port


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """LYCHGATE_<SECTION>__<KEY> overrides, at any depth, in lists and in tables."""
    settings = read(
        tmp_path,
        "gateway: {port: 1}\nservices: {order: 'http://127.0.0.1:1'}\n",
        LYCHGATE_GATEWAY__PORT="2",
        LYCHGATE_GATEWAY__LIMITS__BODY_BYTES="3",
        LYCHGATE_SERVICES__PRODUCT="http://127.0.0.1:4",
        LYCHGATE_AUDIT__REDACTION__AT_WRITE='["pii"]',
    )
    assert settings.gateway.port == 2
    assert settings.gateway.limits.body_bytes == 3
    assert settings.services["order"].addresses == ("127.0.0.1:1",)
    assert settings.services["product"].addresses == ("127.0.0.1:4",)
    assert settings.audit.redaction.at_write == ("pii",)


def test_a_key_in_a_section_leaves_the_sections_other_defaults(tmp_path: Path) -> None:
    """A password alone keeps the default user; one redaction class keeps the paths of the others."""
    settings = read(
        tmp_path, "store: {owner: {password: x}}", LYCHGATE_AUDIT__REDACTION__PATHS__PII='["details.nickname"]'
    )
    assert settings.store.owner.user == "postgres"
    assert settings.audit.redaction.paths["pii"] == ("details.nickname",)
    assert settings.audit.redaction.paths["payment"]


@pytest.mark.parametrize(
    ("alias", "value", "full", "full_value", "expected"),
    [
        ("AUDIT_RETENTION_DAYS", "7", "LYCHGATE_AUDIT__RETENTION__DAYS", "9", ("audit.retention.days", 7, 9)),
        (
            "AUDIT_REDACTION_PATHS",
            "details.a, details.b",
            "LYCHGATE_AUDIT__REDACTION__PATHS__PII",
            '["details.c"]',
            ("audit.redaction.paths", ("details.a", "details.b"), ("details.c",)),
        ),
        (
            "KAFKA_BOOTSTRAP_SERVERS",
            "a:1",
            "LYCHGATE_AUDIT__KAFKA__BOOTSTRAP_SERVERS",
            "b:2",
            ("audit.kafka.bootstrap_servers", "a:1", "b:2"),
        ),
    ],
)
def test_aliases_set_their_key_and_the_full_name_wins(
    tmp_path: Path, alias: str, value: str, full: str, full_value: str, expected: tuple[str, object, object]
) -> None:
    """The names of older deployments work; LYCHGATE_ beats them."""
    path, by_alias, by_full = expected

    def found(settings: Settings) -> object:
        node: object = settings
        for part in path.split("."):
            node = getattr(node, part)
        return node["pii"] if isinstance(node, dict) else node

    assert found(read(tmp_path, "", **{alias: value})) == by_alias
    assert found(read(tmp_path, "", **{alias: value, full: full_value})) == by_full


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gateway:\n  prot: 1\n", "lychgate.yaml:2: gateway.prot: there is no such key; the nearest is gateway.port"),
        ("gatway:\n  port: 1\n", "lychgate.yaml:1: gatway: there is no such key; the nearest is gateway"),
        ("\nretention: 3\n", "lychgate.yaml:2: retention: there is no such key; the nearest is audit.retention"),
        (
            (
                "issuers:\n  - name: a\n    iss: x\n    jwks_file: k\n    audience: [b]\n    audiences: [b]\n"
                "    tenants: [t]\n    roles: [r]\n"
            ),
            "lychgate.yaml:5: issuers[0].audience: there is no such key; the nearest is issuers[0].audiences",
        ),
        ("gateway:\n  port: 1\n  port: 2\n", "lychgate.yaml:3: `port` stands twice, first in line 2"),
        ("gateway: {port: 70000}", "lychgate.yaml:1: gateway.port: input should be less than or equal to 65535"),
        ("- a", "lychgate.yaml:1: the file is not a mapping of sections"),
        ("gateway: [", "lychgate.yaml:1: expected the node content, but found '<stream end>'"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    """File, line, key, and the nearest valid key."""
    assert complaint(tmp_path, text) == message


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    """Nobody has to fix them one run at a time."""
    said = complaint(tmp_path, "gateway:\n  port: x\n  backlog: 0\nops:\n  prt: 1\n").splitlines()
    assert [line.partition(": ")[0] for line in said] == ["lychgate.yaml:2", "lychgate.yaml:3", "lychgate.yaml:5"]


def test_a_mistake_in_the_environment_is_named_with_its_variable(tmp_path: Path) -> None:
    """A wrong value by the name the person used; an unknown variable with the nearest valid one."""
    said = complaint(tmp_path, LYCHGATE_GATEWAY__PORT="x", AUDIT_RETENTION_DAYS="-1")
    assert "environment: LYCHGATE_GATEWAY__PORT: gateway.port:" in said
    assert "environment: AUDIT_RETENTION_DAYS: audit.retention.days:" in said
    said = complaint(tmp_path, LYCHGATE_GATEWAY__PROT="1")
    assert said == ("environment: LYCHGATE_GATEWAY__PROT: there is no such key; the nearest is LYCHGATE_GATEWAY__PORT")
    assert 'field "issuers"' in complaint(tmp_path, LYCHGATE_ISSUERS="{")


def test_a_wrong_secret_is_not_repeated(tmp_path: Path) -> None:
    """The message about a password does not hold it."""
    assert "geheim" not in complaint(tmp_path, "store: {owner: {password: [geheim]}}")


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    """Only the default may be missing; `LYCHGATE_CONFIG` names a file as `--config` does."""
    with pytest.raises(ConfigurationError, match="there is no such file"):
        load(tmp_path / "nowhere.yaml", {})
    with pytest.raises(ConfigurationError, match="there is no such file"):
        load(None, {"LYCHGATE_CONFIG": str(tmp_path / "nowhere.yaml")})


def test_children_inherit_the_environment_with_some_keys_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed key loses its parts, keeps its neighbours, and wins in any case."""
    monkeypatch.setenv("LYCHGATE_SERVICES__ORDER", "http://127.0.0.1:1")
    monkeypatch.setenv("lychgate_gateway__port", "1")
    monkeypatch.setenv("LYCHGATE_GATEWAY__WORKERS", "3")
    told = inherited({"LYCHGATE_SERVICES": "{}", "LYCHGATE_GATEWAY__PORT": "2"})
    assert "LYCHGATE_SERVICES__ORDER" not in told
    assert "lychgate_gateway__port" not in told
    assert told["LYCHGATE_GATEWAY__PORT"] == "2"
    assert told["LYCHGATE_GATEWAY__WORKERS"] == "3"
