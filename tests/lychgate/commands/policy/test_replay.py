"""`lychgate policy replay` as a user runs it: on files, on a real store, on candidates that are good and bad."""

import asyncio
import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner, Result

from audit.codec import encode
from audit.event import AuditEvent, Phase, Redaction
from audit.store import Store
from lychgate.cli import app
from lychgate.errors import ConfigurationError, LychgateError
from policies.origin import make_key
from tests.builders.private import private
from tests.builders.questions import ROOT
from tests.builders.recorded import AT_MS, decided, event_id, ndjson
from tests.servers.postgres import Logins, Postgres


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    """A copy of the policies."""
    folder = tmp_path / "candidate"
    folder.mkdir()
    for file in (ROOT / "policies").glob("*.cedar*"):
        shutil.copy(file, folder)
    return folder


def edit(folder: Path, file: str, before: str, after: str) -> None:
    """Change a policy."""
    text = (folder / file).read_text(encoding="utf-8")
    assert before in text
    (folder / file).write_text(text.replace(before, after), encoding="utf-8")


def configuration(
    folder: Path,
    logins: Logins | None = None,
    tenants: Iterable[str] = ("acme",),
    policies: dict[str, Any] | None = None,
) -> Path:
    """A configuration that finds this repository's files from anywhere."""
    given: dict[str, Any] = {
        "policies": {"folder": str(ROOT / "policies"), **(policies or {})},
        "gateway": {"roles_file": str(ROOT / "roles/roles.toml")},
        "issuers": [
            {"name": "dev", "iss": "x", "jwks_file": "k", "audiences": ["a"], "tenants": list(tenants), "roles": ["*"]}
        ],
    }
    if logins is not None:
        reader, writer = urlsplit(logins.reader), urlsplit(logins.writer)
        given["store"] = {
            "host": reader.hostname,
            "port": reader.port,
            "database": reader.path[1:],
            "reader": {"user": reader.username, "password": reader.password},
            "writer": {"user": writer.username, "password": writer.password},
        }
    file = folder / "lychgate.yaml"
    private(file, json.dumps(given))
    return file


def run(folder: Path, *words: object, logins: Logins | None = None, **given: Any) -> Result:
    """Run the command; a refusal of ours is raised."""
    config = configuration(folder, logins, **given)
    done = CliRunner().invoke(app, ["policy", "replay", "--config", str(config), *map(str, words)])
    if isinstance(done.exception, LychgateError):
        raise done.exception
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def shop() -> list[AuditEvent]:
    """A morning."""
    made = [decided("Support", "order:list", number) for number in range(3)]
    made += [decided("Cashier", "order:discount", 3, context={"percent": 15})]
    made += [decided("Cashier", "order:create", 4, phase=Phase.DECIDED)]
    made += [decided("Cashier", "order:create", 4, phase=Phase.DECIDED)]  # delivered twice
    made += [decided("Cashier", "order:list", 5, input=None, redaction=Redaction("enforce", truncated=True))]
    return made


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """As a file."""
    file = tmp_path / "events.ndjson"
    file.write_bytes(ndjson(shop()) + b"not JSON\n")
    return file


def test_the_policies_in_force_flip_nothing(tmp_path: Path, recorded: Path, candidate: Path) -> None:
    """Exit 0; what is left out is said."""
    for words in ([recorded], ["--policies", candidate, recorded], ["--reasons", recorded]):
        done = run(tmp_path, *words)
        assert done.exit_code == 0
        assert re.match(
            r"6 decisions by the candidate [0-9a-f]{16}: "
            r"5 the same, 0 otherwise, 0 otherwise as expected, 1 undecidable\n",
            done.stdout,
        )
        assert f"  1 x order:list: truncated\n      {event_id(5)}" in done.stdout
        assert "left out: 1 duplicate" in done.stdout
        assert "malformed: 1 lines, the first: line 8 (not an event)" in done.stdout


def test_flips_are_shown_and_are_exit_code_1(tmp_path: Path, recorded: Path, candidate: Path) -> None:
    """By role, action and type, with what decided, counts and ids; as JSON the same."""
    edit(candidate, "order.cedar", 'Role::"Support", ', "")
    edit(candidate, "order.cedar", "context.percent <= 10", "context.percent <= 20")
    done = run(tmp_path, "--policies", candidate, recorded, "--examples", 2)
    assert done.exit_code == 1
    assert "! newly denied: 3 x Support order:list Order: allow by order.read -> deny by default\n" in done.stdout
    assert f"      {event_id(0)} {event_id(1)}\n" in done.stdout
    assert "1 x Cashier order:discount Order: deny by default -> allow by order.cashier-discount\n" in done.stdout
    told = json.loads(run(tmp_path, "--policies", candidate, recorded, "--json").stdout)
    assert (told["decisions"], told["same"], told["incidents"], told["malformed"]["count"]) == (6, 1, 4, 1)
    assert [(flip["verdict"], flip["count"]) for flip in told["flips"]] == [("newly_allowed", 1), ("newly_denied", 3)]


def test_a_bundle_is_a_candidate_as_its_folder_is(tmp_path: Path, recorded: Path, candidate: Path) -> None:
    """Signed by a key that the gateway believes; without a candidate it is what is configured, and no folder."""
    make_key(key := tmp_path / "key.pem")
    make_key(tmp_path / "other.pem")

    def packed(folder: Path, name: str) -> Path:
        words = ["policy", "bundle", str(folder), "--key", str(key), "--out", str(tmp_path / name), "--with-roles"]
        assert CliRunner().invoke(app, [*words, "--config", str(configuration(tmp_path))]).exit_code == 0
        return tmp_path / name

    def configured(bundle: Path, of: str = "key.pem") -> dict[str, Any]:
        return {
            "bundle": str(bundle),
            "bundle_public_keys": [str(tmp_path / f"{of}.pub")],
            "folder": str(tmp_path / "none"),
        }

    live = packed(ROOT / "policies", "live.lcb")
    edit(candidate, "order.cedar", 'Role::"Support", ', "")
    new = packed(candidate, "new.lcb")
    assert run(tmp_path, recorded, policies=configured(live)).exit_code == 0
    found = run(tmp_path, "--policies", candidate, recorded)
    assert "! newly denied: 3 x Support order:list" in found.stdout
    assert run(tmp_path, "--policies", new, recorded, policies=configured(live)).stdout == found.stdout
    assert run(tmp_path, recorded, policies=configured(new)).stdout == found.stdout
    with pytest.raises(ConfigurationError, match=f"the candidate {new} would be refused:\n{new}"):
        run(tmp_path, "--policies", new, recorded, policies=configured(live, "other.pem"))
    with pytest.raises(ConfigurationError, match=r"to read bundles, `policies.bundle` must be"):
        run(tmp_path, "--policies", new, recorded)


def test_a_page_of_the_query_api_is_taken_as_it_is(tmp_path: Path, recorded: Path, candidate: Path) -> None:
    """As `curl` leaves it: one line with many events."""
    edit(candidate, "order.cedar", 'Role::"Support"', 'Role::"Auditor"')
    lines = [line for line in recorded.read_text().splitlines() if line.startswith("{") and line.endswith("}")]
    page = tmp_path / "page.json"
    page.write_text(f'{{"data": [{",".join(lines)}], "has_more": false}}')
    done, whole = run(tmp_path, "--policies", candidate, page), run(tmp_path, "--policies", candidate, recorded)
    assert done.exit_code == 1
    assert done.output.splitlines()[0] == whole.output.splitlines()[0]
    page.write_text('{"data": 7}')
    with pytest.raises(ConfigurationError, match="no decision was found: 0 other events, 1 malformed lines"):
        run(tmp_path, "--policies", candidate, page)


def test_expected_flips_are_exit_code_0(tmp_path: Path, recorded: Path, candidate: Path) -> None:
    """All of them have to be; an entry that met nothing is told of."""
    edit(candidate, "order.cedar", 'Role::"Support", ', "")
    expected = tmp_path / "expected.yaml"
    expected.write_text(
        "expected:\n"
        "  - {role: Support, action: order:list, resource: Order, from: allow, to: deny}\n"
        "  - {role: Manager, from: deny, to: allow}\n"
    )
    done = run(tmp_path, "--policies", candidate, recorded, "--expected", expected)
    assert done.exit_code == 0
    assert "  expected newly denied: 3 x Support" in done.stdout
    assert "expected and not seen: Manager * *: deny to allow" in done.stdout
    expected.write_text("expected:\n  - {role: Support, action: order:read, from: allow, to: deny}\n")
    assert run(tmp_path, "--policies", candidate, recorded, "--expected", expected).exit_code == 1


def test_reasons_are_compared_when_told_to(tmp_path: Path, recorded: Path, candidate: Path) -> None:
    """The same answer by another policy."""
    edit(candidate, "order.cedar", '@id("read")', '@id("look")')
    assert run(tmp_path, "--policies", candidate, recorded).exit_code == 0
    done = run(tmp_path, "--policies", candidate, recorded, "--reasons")
    assert done.exit_code == 1
    assert "! reasons: 3 x Support order:list Order: allow by order.read -> allow by order.look" in done.stdout


def test_another_catalogue_resolves_roles_anew(tmp_path: Path, recorded: Path, candidate: Path) -> None:
    """A role that includes another does what that may do."""
    roles = tmp_path / "roles.toml"
    text = (ROOT / "roles/roles.toml").read_text()
    roles.write_text(text.replace('name = "Support"', 'name = "Support"\nincludes = ["Cashier"]', 1))
    (tmp_path / "more.ndjson").write_bytes(ndjson([decided("Support", "order:create", 9)]))
    files = (recorded, tmp_path / "more.ndjson")
    assert run(tmp_path, *files).exit_code == 0
    done = run(tmp_path, *files, "--roles", roles)
    assert done.exit_code == 1
    assert "newly allowed: 1 x Support order:create Order" in done.stdout


def test_the_textfile_is_whole_and_has_every_series(tmp_path: Path, recorded: Path, candidate: Path) -> None:
    """What node_exporter reads, also where nothing flipped; expected flips are no incidents."""
    file = tmp_path / "replay.prom"
    run(tmp_path, recorded, "--textfile", file)
    assert 'auth_regression_incidents{kind="newly_denied"} 0.0\n' in file.read_text()
    assert 'auth_replay_undecidable{why="truncated"} 1.0\n' in file.read_text()
    edit(candidate, "order.cedar", 'Role::"Support", ', "")
    run(tmp_path, "--policies", candidate, recorded, "--textfile", file)
    assert 'auth_regression_incidents{kind="newly_denied"} 3.0\n' in file.read_text()
    assert "auth_replay_decisions 6.0\n" in file.read_text()
    assert list(tmp_path.glob("replay.prom?*")) == [], "nothing is left beside it"
    with pytest.raises(ConfigurationError, match=r"gone/replay.prom: cannot be written: No such file or directory"):
        run(tmp_path, recorded, "--textfile", tmp_path / "gone" / "replay.prom")


def test_what_events_say_cannot_write_on_the_terminal(tmp_path: Path, candidate: Path) -> None:
    """Control characters in a forged event are shown as such."""
    event = decided("Support", "order:list")
    forged = encode(event).replace(b'"roles":["Support"]', b'"roles":["\\u001b[2J\\u202e[red]x"]')
    (tmp_path / "forged").write_bytes(forged)
    edit(candidate, "order.cedar", 'Role::"Support", ', "")
    done = run(tmp_path, "--policies", candidate, tmp_path / "forged")
    assert "1 x \\u001b[2J\\u202e[red]x order:list Order" in done.stdout


def test_wrong_usage_is_refused(tmp_path: Path, recorded: Path, candidate: Path) -> None:
    """Each with what to do."""
    for words, message in (
        ((), "give either files with recorded events or --store"),
        ((recorded, "--store"), "give either files with recorded events or --store"),
        ((recorded, "--since", "1h"), "--tenant, --since, --until and --limit choose from the store: give --store"),
        (("--store", "--since", "yesterday"), "--since is not an RFC 3339 time with offset"),
        ((tmp_path / "gone",), "gone: cannot be read: No such file or directory"),
        (
            ("--policies", tmp_path / "gone", recorded),
            "gone: no `.cedar` file here\nschema.cedarschema: cannot be read",
        ),
        (("--roles", tmp_path / "gone", recorded), "gone: cannot be read"),
    ):
        with pytest.raises(ConfigurationError) as refused:
            run(tmp_path, *words)
        assert message in str(refused.value)
        assert refused.value.exit_code == 2
    edit(candidate, "order.cedar", 'Role::"Support"', 'Role::"Suport"')
    with pytest.raises(ConfigurationError, match=r"would be refused:\norder.cedar:6: `Suport` is not a role"):
        run(tmp_path, "--policies", candidate, recorded)
    endless = " && ".join(["true"] * 5_000)
    (candidate / "order.cedar").write_text(
        f'@id("x") @reason("r") permit (principal, action, resource) when {{ {endless} }};'
    )
    with pytest.raises(ConfigurationError, match=r"would be refused:\norder.cedar:1: nested more than 200 deep"):
        run(tmp_path, "--policies", candidate, recorded)
    with pytest.raises(
        ConfigurationError, match="the configuration does not list the tenants: name each with --tenant"
    ):
        run(tmp_path, "--store", tenants=["*"])


def test_a_replay_of_nothing_is_refused(tmp_path: Path) -> None:
    """Who compares nothing must not be told that nothing differs."""
    for content, message in (
        (b"", "no decision was found: 0 other events, 0 malformed lines"),
        (b"a\nb\n", "no decision was found: 0 other events, 2 malformed lines"),
    ):
        (tmp_path / "events").write_bytes(content)
        with pytest.raises(ConfigurationError, match=message):
            run(tmp_path, tmp_path / "events")


def fill(logins: Logins, events: Iterable[AuditEvent]) -> None:
    """Bring events into the store as the relay does."""

    async def write() -> None:
        store = Store(logins.writer, now_ns=lambda: AT_MS * 1_000_000)
        await store.write([encode(event) for event in events])
        await store.close()

    asyncio.run(write())


def test_decisions_come_from_the_store(
    tmp_path: Path, candidate: Path, migrated_database: Logins, postgres: Postgres
) -> None:
    """Every configured tenant's, under row-level security; narrowed by tenant, time and number; recorded there, too."""
    database = migrated_database.owner.rpartition("/")[2]
    postgres.sql("SELECT audit_make_partitions('2026-11-01', '2026-12-31')", database=database)
    fill(migrated_database, [*shop(), *(decided("Support", "order:list", 10 + n, tenant="globex") for n in range(4))])
    edit(candidate, "order.cedar", 'Role::"Support", ', "")

    def told(*words: object) -> dict[str, Any]:
        done = run(
            tmp_path, "--store", "--policies", candidate, "--json", *words,
            logins=migrated_database, tenants=["acme", "globex"],
        )  # fmt: skip
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    everything = told()
    assert (everything["decisions"], everything["incidents"], everything["ignored"]) == (10, 7, {})
    assert told("--tenant", "globex")["incidents"] == 4
    assert told("--limit", 2)["decisions"] == 4, "the newest two of each tenant"
    assert told("--since", "2026-11-18T11:06:40.002Z", "--until", "2026-11-18T11:06:40.004Z")["decisions"] == 2
    assert told("--since", "100000d")["decisions"] == 10
    with pytest.raises(ConfigurationError, match="no decision was found"):
        told("--tenant", "nobody")
    told("--record")
    row = postgres.sql(
        "SELECT tenant_id, kind, body->'details'->>'incidents', body->'details'->'flips'->>0"
        " FROM audit_events WHERE event_type = 'policy.replay.completed'",
        database=database,
    )
    assert row == "platform|admin|7|7 x Support order:list Order: allow to deny"


def test_a_store_that_is_not_there_or_not_ours(tmp_path: Path, migrated_database: Logins) -> None:
    """Nobody listens; a login that row-level security would not hold; a wrong password, which is not printed."""

    def refused(**change: str) -> str:
        with pytest.raises(LychgateError) as found:
            run(tmp_path, "--store", logins=Logins(**{**vars(migrated_database), **change}))
        assert found.value.exit_code == 2
        return str(found.value)

    assert "cannot be read" in refused(reader="postgresql://audit_reader:x@127.0.0.1:1/none")
    assert "is a superuser" in refused(reader=migrated_database.owner)
    wrong = migrated_database.reader.replace("the-reader-of-the-tests", "s3cr3t-guess")
    assert "s3cr3t-guess" not in refused(reader=wrong)
    (tmp_path / "events").write_bytes(ndjson(shop()))
    away = Logins("", "postgresql://w:x@127.0.0.1:1/n", "postgresql://r:x@127.0.0.1:1/n", "")
    with pytest.raises(LychgateError, match="the replay is not recorded: the store: "):
        run(tmp_path, tmp_path / "events", "--record", logins=away)
