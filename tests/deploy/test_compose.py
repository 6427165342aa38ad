"""`deploy/compose.yaml`: what an engine is told, our settings and commands in it, and what of it is open."""

import json
import os
import re
import stat
import subprocess
from pathlib import Path

import pytest
import typer.main
import yaml

from audit.private_file import not_private
from gateway.settings import GatewaySettings
from lychgate import cli
from lychgate.settings import load as settings
from tests.builders.patience import PATIENCE_S
from tests.servers.composed import ISSUERS, Container, load, project, samples
from tests.servers.programs import promtool

ROOT = Path(__file__).parents[2]
OURS = {"gateway", "query", "consumer", "migrate", "issuer", "samples"}
GROUP = 10001
"""Of our image."""
WRITABLE_ROOT = {"kafka", "topics"}
"""The image writes its configuration at each start; said in the guide."""


def containers() -> dict[str, Container]:
    """All of them, the samples too."""
    found: dict[str, Container] = project(**samples())["services"]
    return found


def test_who_is_believed_must_be_said() -> None:
    """Without issuers nothing starts, and the message says where to read on."""
    done = load()
    assert done.returncode != 0
    assert (
        "LYCHGATE_ISSUERS is missing a value: say whose tokens are believed, see docs/guides/compose.md" in done.stderr
    )


def test_the_samples_are_off_unless_asked_for() -> None:
    """The development issuer gives a token to whoever asks."""
    assert not {"issuer", "samples"} & set(project()["services"])
    assert {"issuer", "samples"} <= set(containers())


def test_nobody_has_more_rights_than_it_needs() -> None:
    """No capability, no new privileges, no root, a root file system that is not written, a bound on everything."""
    for name, each in containers().items():
        assert each["cap_drop"] == ["ALL"], name
        assert each["security_opt"] == ["no-new-privileges:true"], name
        assert not {"cap_add", "privileged", "pid", "ipc", "devices"} & set(each), name
        assert each.get("network_mode", "service:gateway") == "service:gateway"
        assert re.fullmatch(r"[1-9]\d*:\d+", each["user"]), name
        assert each.get("read_only", False) is (name not in WRITABLE_ROOT), name
        limits = each["deploy"]["resources"]["limits"]
        assert {"cpus", "memory", "pids"} <= set(limits), name
        assert "/var/run/docker.sock" not in json.dumps(each)


def test_images_are_pinned() -> None:
    """Each to a version, to all its parts; ours is built here."""
    for name, each in containers().items():
        assert re.search(r":v?\d+\.\d+(\.\d+)?$", each["image"]), name
    assert {name for name, each in containers().items() if "build" in each} == {"gateway"}


def test_two_ports_are_published_and_one_of_them_to_everybody() -> None:
    """8080; and Grafana, to this machine alone."""
    found = {name: port for name, each in containers().items() for port in each.get("ports", [])}
    assert set(found) == {"gateway", "grafana"}
    assert found["gateway"]["target"] == GatewaySettings().port
    assert "host_ip" not in found["gateway"]
    assert found["grafana"]["host_ip"] == "127.0.0.1"


def test_the_store_the_broker_and_redis_have_no_way_out() -> None:
    """Nor a way in but from our own."""
    found = project()
    assert found["networks"]["inside"]["internal"] is True
    assert found["networks"]["watch"]["internal"] is True
    for name in ("postgres", "kafka", "topics", "redis", "migrate"):
        assert set(found["services"][name]["networks"]) == {"inside"}
    assert [name for name, each in found["services"].items() if "edge" in each["networks"]] == ["gateway"]


def test_each_is_given_its_own_secrets_only() -> None:
    """As in the chart: the owner's password is the migration's, and the server's that is made with it."""
    found = {name: {secret["source"] for secret in each.get("secrets", [])} for name, each in containers().items()}
    assert {name: held for name, held in found.items() if held} == {
        "gateway": {"redis-password", "fleet-key"},
        "query": {"reader"},
        "consumer": {"writer", "keeper"},
        "migrate": {"owner", "writer", "reader", "keeper"},
        "postgres": {"owner"},
        "redis": {"redis-password"},
        "grafana": {"grafana-password"},
    }
    for name, each in containers().items():
        given = {**(each.get("environment") or {})}
        assert not [key for key in given if re.search(r"(PASSWORD|SECRET|TOKEN)$", key)], name


def test_what_waits_for_what() -> None:
    """The store is brought forward and the topics are there before anybody records; who serves says when."""
    found = containers()
    waits = {
        name: {of: how["condition"] for of, how in (each.get("depends_on") or {}).items()}
        for name, each in found.items()
    }
    done, healthy = "service_completed_successfully", "service_healthy"
    assert waits["migrate"] == {"postgres": healthy}
    assert waits["topics"] == {"kafka": healthy}
    assert waits["gateway"] == {"migrate": done, "topics": done, "redis": healthy}
    assert waits["consumer"] == {"migrate": done, "topics": done}
    assert waits["query"]["migrate"] == done
    once = {name for name, each in found.items() if each["restart"] == "no"}
    assert once == {"migrate", "topics"}
    unasked = {"issuer", "samples"}
    assert {name for name, each in found.items() if "healthcheck" not in each} == once | unasked


def test_a_stop_leaves_time_to_end_well() -> None:
    """The gateway: unready, drain, the last delivery."""
    file = yaml.safe_load((ROOT / "deploy" / "compose" / "lychgate.yaml").read_text())
    grace = project()["services"]["gateway"]["stop_grace_period"]
    minutes = re.fullmatch(r"(?:(\d+)m)?(\d+)s", grace)
    assert minutes is not None
    assert int(minutes[1] or 0) * 60 + int(minutes[2]) > file["gateway"]["unready_s"] + GatewaySettings().drain_s + 5


def test_records_that_are_not_delivered_are_in_a_volume_of_their_own() -> None:
    """Shared by all who record on this machine, so that the gateway's relay empties it; never a tmpfs, never a path."""
    found = project(**samples())
    for name in ("gateway", "query", "samples"):
        (spool,) = [m for m in found["services"][name]["volumes"] if m["target"] == "/var/lib/lychgate/spool"]
        assert (spool["type"], spool["source"]) == ("volume", "spool")
    assert "spool" in found["volumes"]


def test_every_command_and_every_variable_is_one_of_ours(tmp_path: Path) -> None:
    """What our containers run is a command; what they are told is a setting, over the file that all of them mount."""
    root = typer.main.get_command(cli.app)
    for name, each in containers().items():
        if name not in OURS:
            continue
        command = root.commands[each["command"][0]]  # type: ignore[attr-defined]
        command.make_context(each["command"][0], each["command"][1:])
        given = {key: value for key, value in (each.get("environment") or {}).items() if value is not None}
        settings(ROOT / "deploy" / "compose" / "lychgate.yaml", given)


def test_health_is_asked_where_it_is_answered() -> None:
    """The ports that the configuration opens, with what is in the image."""
    file = settings(ROOT / "deploy" / "compose" / "lychgate.yaml", {"LYCHGATE_ISSUERS": ISSUERS})
    kafka = file.audit.kafka
    assert {file.ops.host, file.query.host, kafka.consumer_metrics_host} == {"0.0.0.0"}  # noqa: S104 - others ask too
    ports = {"gateway": file.ops.port, "query": file.query.port, "consumer": kafka.consumer_metrics_port}
    for name, port in ports.items():
        word, program, _, script = containers()[name]["healthcheck"]["test"]
        assert (word, program) == ("CMD", "python")
        assert f"http://127.0.0.1:{port}/readyz" in script
        compile(script, name, "exec")


def test_what_is_mounted_is_in_the_tree() -> None:
    """An engine makes a folder of what is missing; and nothing of the tree can be written."""
    for name, each in containers().items():
        for mount in each.get("volumes", []):
            if mount["type"] == "bind":
                assert mount["read_only"] is True, name
                assert mount["bind"].get("create_host_path", False) is False, name
                assert Path(mount["source"]).exists(), mount["source"]


def test_prometheus_finds_them_under_the_jobs_the_alerts_know() -> None:
    """`promtool` has nothing to say; each target is a container and a port of its."""
    folder = ROOT / "deploy" / "compose"
    found = yaml.safe_load((folder / "prometheus.yml").read_text())
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in found["scrape_configs"]}
    assert targets == {
        "lychgate-gateway": ["gateway:8081"],
        "lychgate-query": ["query:8082"],
        "lychgate-consumer": ["consumer:9464"],
    }
    assert {"gateway", "query", "consumer"} <= {n for n, e in project()["services"].items() if "watch" in e["networks"]}
    done = subprocess.run(
        [promtool(), "check", "config", "--syntax-only", str(folder / "prometheus.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_a_server_keeps_is_on_its_volume() -> None:
    """Where the image's own program writes it, or it would be gone with the container."""
    found = project()["services"]
    kept = {
        name: [mount["target"] for mount in found[name]["volumes"] if mount["type"] == "volume"]
        for name in ("postgres", "kafka", "prometheus", "grafana")
    }
    assert kept == {
        "postgres": ["/var/lib/postgresql"],  # since version 18 the data is in a folder of its version below
        "kafka": [found["kafka"]["environment"]["KAFKA_LOG_DIRS"]],
        "prometheus": ["/prometheus"],
        "grafana": ["/var/lib/grafana"],
    }
    assert "--storage.tsdb.path=/prometheus" in found["prometheus"]["command"]


def test_the_store_asks_for_a_password_from_the_first_moment() -> None:
    """Over the network and over its socket, and its pages have checksums."""
    said = project()["services"]["postgres"]["environment"]["POSTGRES_INITDB_ARGS"].split()
    assert set(said) == {"--auth-host=scram-sha-256", "--auth-local=scram-sha-256", "--data-checksums"}


def test_the_broker_is_where_it_says_it_is() -> None:
    """What it tells its clients to come to is what they are configured with; topics are the guide's, and no others."""
    found = project()["services"]
    told = found["kafka"]["environment"]
    file = settings(ROOT / "deploy" / "compose" / "lychgate.yaml", {"LYCHGATE_ISSUERS": ISSUERS})
    assert told["KAFKA_ADVERTISED_LISTENERS"] == f"PLAINTEXT://{file.audit.kafka.bootstrap_servers}"
    assert told["KAFKA_CONTROLLER_QUORUM_VOTERS"] == f"{told['KAFKA_NODE_ID']}@kafka:9093"
    assert told["KAFKA_LISTENERS"] == "PLAINTEXT://:9092,CONTROLLER://:9093"
    assert told["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    (script,) = found["topics"]["command"]
    guide = (ROOT / "docs" / "guides" / "kafka.md").read_text()

    def topics(text: str) -> dict[str, tuple[set[str], set[str]]]:
        lines = [
            line for line in text.replace("\\\n", "").splitlines() if re.search("--topic audit.*--partitions", line)
        ]
        return {
            re.findall(r"--topic (\S+)", line)[0]: (
                set(re.findall(r"--partitions (\d+)", line)),
                set(re.findall(r"retention\.ms=(-?\d+)", line)),
            )
            for line in lines
        }

    assert topics(script) == topics(guide)
    assert len(topics(script)) == 3


def test_redis_forgets_nothing_and_keeps_nothing() -> None:
    """A full one refuses; a revocation that was thrown out would be one that nobody hears of."""
    (script,) = project()["services"]["redis"]["command"]
    assert "--maxmemory-policy noeviction" in script
    assert "--save '' --appendonly no" in script


def test_rules_are_mounted_where_prometheus_looks_for_them() -> None:
    """Beside its configuration; a missing file stops it, but no engine is here to see it."""
    found = project()["services"]["prometheus"]
    mounts = {mount["target"]: mount["source"] for mount in found["volumes"]}
    (config,) = [word.partition("=")[2] for word in found["command"] if word.startswith("--config.file=")]
    for name in yaml.safe_load(Path(mounts[config]).read_text())["rule_files"]:
        assert Path(mounts[str(Path(config).parent / name)]).name == name


def test_every_variable_of_the_file_is_explained() -> None:
    """The guide's table has those that the file reads, and no others."""
    read = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "deploy" / "compose.yaml").read_text()))
    guide = (
        (ROOT / "docs" / "guides" / "compose.md").read_text().partition("| variable | what |")[2].partition("\n\n")[0]
    )
    told = {name for row in guide.splitlines() for name in re.findall(r"`([A-Z_]+)`", row.split(" | ")[0])}
    assert told == read


def test_nobody_makes_an_account_in_grafana() -> None:
    """And it calls nobody: it reaches Prometheus and its reader."""
    found = project()["services"]["grafana"]
    switches = {name: value for name, value in found["environment"].items() if not name.endswith("__FILE")}
    assert switches
    assert set(switches.values()) == {"false"}
    assert set(found["networks"]) == {"watch", "people"}


def test_secrets_are_made_once_and_for_their_readers(tmp_path: Path) -> None:
    """By the script beside the file: every secret that is mounted, none overwritten, none for other people's eyes."""
    script = tmp_path / "secrets"
    script.write_bytes((ROOT / "deploy" / "compose" / "secrets").read_bytes())
    script.chmod(0o755)

    def run() -> str:
        done = subprocess.run([str(script)], capture_output=True, text=True, check=False)
        assert done.returncode == (0 if os.geteuid() == 0 else 2), done.stderr
        return done.stdout + done.stderr

    said = run()
    made = tmp_path / "secrets.d"
    if os.geteuid() != 0:
        assert "run it as root" in said
        assert not made.exists()
        return
    first = {file.name: file.read_text() for file in made.iterdir()}
    assert set(first) == {Path(each["file"]).name for each in project()["secrets"].values()}
    assert len(set(first.values())) == len(first)
    assert all(re.fullmatch(r"[0-9a-f]{64}\n", text) for text in first.values())
    (made / "owner").chmod(0o444)  # as the release before left it
    os.chown(made / "owner", 1000, 1000)
    assert run() == ""  # the second time nothing is made
    assert {file.name: file.read_text() for file in made.iterdir()} == first
    assert not any(text.strip() in said for text in first.values())
    found = made.stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o700, 0)
    for file in made.iterdir():
        found = file.stat()
        assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o440, 0, GROUP)


def test_who_is_given_a_secret_can_read_it_and_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own processes by their group, the others by `group_add`; and the mode is one that ours do not refuse."""
    for name, each in containers().items():
        if each.get("secrets"):
            groups = {str(each["user"]).partition(":")[2], *map(str, each.get("group_add", []))}
            assert str(GROUP) in groups, name
            assert str(each["user"]).partition(":")[0] != "0", name
    monkeypatch.setattr(os, "geteuid", lambda: 10001)
    mounted = os.stat_result((stat.S_IFREG | 0o440, 1, 1, 1, 0, GROUP, 1, 0, 0, 0))
    assert not_private(mounted, Path("/run/secrets/owner")) is None


def test_secrets_that_two_make_at_once_are_whole(tmp_path: Path) -> None:
    """Each is made by one of them; neither fails, and no draft is left."""
    script = tmp_path / "secrets"
    script.write_bytes((ROOT / "deploy" / "compose" / "secrets").read_bytes())
    script.chmod(0o755)
    for _ in range(2):
        running = [subprocess.Popen([str(script)], stderr=subprocess.PIPE, text=True) for _ in range(4)]
        said = "".join(process.communicate(timeout=PATIENCE_S)[1] for process in running)
        assert [process.returncode for process in running] == [0] * 4
        made = list((tmp_path / "secrets.d").iterdir())
        assert all(re.fullmatch(r"[0-9a-f]{64}\n", file.read_text()) for file in made)
        assert sorted(line.rpartition("/")[2] for line in said.splitlines()) == sorted(file.name for file in made)
        for file in made:
            file.unlink()
    (tmp_path / "secrets.d" / "owner").touch()
    done = subprocess.run([str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "deploy/compose/secrets.d/owner is empty: remove it\n")


@pytest.mark.parametrize("words", ["samples.env"])
def test_what_is_only_for_trying_says_so(words: str) -> None:
    """The file that trusts the development issuer."""
    assert "Never where anybody else can reach the port" in (ROOT / "deploy" / "compose" / words).read_text()
