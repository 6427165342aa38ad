"""The chart, rendered by Helm and held against Kubernetes' schemas, our commands and settings, and its promises.

No cluster is reached: what is not tried is said in docs/guides/kubernetes.md.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import kubernetes_validate
import pytest
import typer.main
import yaml
from pydantic import BaseModel, SecretStr

from lychgate import cli
from lychgate.reference import PAGES
from lychgate.settings import Settings, load
from query.settings import QuerySettings
from roles.security_context.keys import new_private_jwk
from tests.builders.command import run as lychgate
from tests.builders.deployed import bring, trusted
from tests.builders.pages import blocks
from tests.builders.private import private
from tests.servers.helm import CHART, LEAST, NAME, SETS, Object, Pod, helm, one, pods, rendered, template, values

ROOT = Path(__file__).parents[2]
VERSIONS = ("1.32.0", "1.34.0", "1.37.0")
CUSTOM = {"PodMonitor", "PrometheusRule"}
UID = 10001
every_set = pytest.mark.parametrize("which", sorted(SETS))


def every_pod() -> Iterator[Pod]:
    """Of every set."""
    for which in SETS:
        yield from pods(rendered(which))


@every_set
def test_helm_has_nothing_to_complain_of(which: str) -> None:
    """`helm lint --strict`."""
    done = helm("lint", "--strict", str(CHART), "--kube-version", "1.32.0", given=values(SETS[which]))
    assert done.returncode == 0, done.stdout + done.stderr


@every_set
@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_one_of_kubernetes(which: str, version: str) -> None:
    """Strictly: no field that the version does not know. Names are there once."""
    objects = rendered(which)
    for each in objects:
        if each["kind"] not in CUSTOM:
            kubernetes_validate.validate(each, version, strict=True)
    names = [(each["kind"], each["metadata"]["name"]) for each in objects]
    assert len(names) == len(set(names))
    assert all(len(name) <= 63 for _, name in names)


def test_what_the_sets_render() -> None:
    """Nothing is forgotten when a template is: which kinds there are in the fullest set."""
    kinds = {each["kind"] for each in [*rendered("full"), *rendered("kafka"), *rendered("inline")]}
    assert kinds == {
        "ConfigMap",
        "Deployment",
        "HorizontalPodAutoscaler",
        "Job",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "PodMonitor",
        "PrometheusRule",
        "Service",
        "ServiceAccount",
        "StatefulSet",
    }
    assert {pod.part for pod in every_pod()} == {"gateway", "query", "consumer", "migrate", "drain"}


def test_no_pod_has_more_rights_than_it_needs() -> None:
    """Nobody's user, nobody's token, nothing of the node's, no capability, one place to write."""
    for pod in every_pod():
        spec, rights = pod.spec, pod.spec["securityContext"]
        assert spec["automountServiceAccountToken"] is False, pod.of
        assert spec["enableServiceLinks"] is False  # its variables would begin like ours, and be unknown settings
        assert (rights["runAsNonRoot"], rights["runAsUser"], rights["runAsGroup"]) == (True, UID, UID)
        assert rights["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & set(spec)
        allowed = {"name", "configMap", "secret", "emptyDir", "persistentVolumeClaim"}
        assert all(set(volume) <= allowed for volume in spec["volumes"]), pod.of
        for container in pod.containers:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert "memory" in container["resources"]["limits"], pod.of
            assert not container["image"].endswith((":latest", ":"))
            writable = [mount["name"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
            assert writable in ([], ["state"])


def test_what_is_mounted_is_there() -> None:
    """Each mount has its volume, each volume is used; no mount hides in another, or it would have to be made there."""
    for which in SETS:
        for each, pod in zip(
            [o for o in rendered(which) if "template" in o.get("spec", {})], pods(rendered(which)), strict=True
        ):
            claims = [claim["metadata"]["name"] for claim in each["spec"].get("volumeClaimTemplates", [])]
            volumes = [*(volume["name"] for volume in pod.spec["volumes"]), *claims]
            assert len(volumes) == len(set(volumes)), pod.of
            mounted = {mount["name"] for container in pod.containers for mount in container["volumeMounts"]}
            assert mounted == set(volumes), pod.of
            for container in pod.containers:
                paths = [mount["mountPath"] for mount in container["volumeMounts"]]
                assert not [a for a in paths for b in paths if a != b and a.startswith(f"{b}/")], pod.of
                assert not any("subPath" in mount for mount in container["volumeMounts"])  # it would never be renewed


def secrets_of(pod: Pod, container: Object) -> set[str]:
    """Which secrets a container sees, by the name they are mounted under."""
    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
    return {path.rsplit("/", 1)[1] for path in mounts if path.startswith("/run/secrets/lychgate/")}


def test_each_process_is_given_its_own_secrets_only() -> None:
    """The owner's password is the migration's alone; who only reads cannot write, and the other way round."""
    found = {
        which: {
            container["name"]: secrets_of(pod, container)
            for pod in pods(rendered(which))
            for container in pod.containers
        }
        for which in ("least", "kafka", "full")
    }
    assert found["least"] == {
        "gateway": {"context", "writer", "keeper", "fleet"},
        "query": {"reader", "cursor"},
        "relay": {"writer"},
        "migrate": {"owner", "writer", "reader", "keeper"},
    }
    assert found["kafka"] == {
        "gateway": {"context", "kafka", "fleet"},
        "query": {"reader", "cursor"},
        "relay": {"kafka"},
        "consumer": {"writer", "keeper", "kafka", "seal"},
        "migrate": {"owner", "writer", "reader", "keeper"},
    }
    assert found["full"]["gateway"] == {"context", "writer", "keeper", "fleet", "seal", "tls"}
    assert found["full"]["drain"] == {"writer"}


def test_no_secret_stands_in_an_object() -> None:
    """Secrets are the operator's objects, mounted as files; the chart makes none and puts none into a variable."""
    for which in SETS:
        for each in rendered(which):
            assert each["kind"] != "Secret"
        for pod in pods(rendered(which)):
            for volume in pod.spec["volumes"]:
                assert volume.get("secret", {}).get("defaultMode", 0o440) == 0o440
            for container in pod.containers:
                assert "envFrom" not in container
                for variable in container.get("env", []):
                    assert "secretKeyRef" not in json.dumps(variable)
                    assert not re.search(r"(PASSWORD|SECRET|KEY)$", variable["name"])


def test_every_command_is_one_of_ours() -> None:
    """What the containers are told to run is a command with these options."""
    root = typer.main.get_command(cli.app)
    seen = set()
    for pod in every_pod():
        for container in pod.containers:
            assert "command" not in container  # the image's entry point
            command, words = root, list(container["args"])
            while inner := getattr(command, "commands", None):
                command = inner[words.pop(0)]
            command.make_context(str(command.name), words)
            seen.add(command.name)
    assert seen == {"gateway", "query", "relay", "consumer", "migrate", "drain"}


def test_every_variable_is_a_setting(tmp_path: Path) -> None:
    """As a pod is given them: a name that no setting has would stop the process with exit code 2."""
    file = tmp_path / "lychgate.yaml"
    file.write_text("")
    for pod in every_pod():
        for container in pod.containers:
            given = {each["name"]: each.get("value", f"{NAME}-gateway-0") for each in container.get("env", [])}
            load(file, {name: value for name, value in given.items() if name != "LYCHGATE_CONFIG"})


@every_set
def test_the_configuration_is_in_order(tmp_path: Path, which: str) -> None:
    """`lychgate config check` on the rendered file, with what is mounted put where the test may write."""
    text = one(rendered(which), "ConfigMap", f"{NAME}-config")["data"]["lychgate.yaml"]
    rules = bring(tmp_path / "rules").folder
    (tmp_path / "rules" / "policies").rename(tmp_path / "policies")
    (tmp_path / "files" / "keys").mkdir(parents=True)
    (rules / "keys.json").rename(tmp_path / "files" / "keys" / "keys.json")
    for name in set(re.findall(r"/run/secrets/(\S+)", text)):
        file = tmp_path / "secrets" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(0o600)
        file.write_text(new_private_jwk() if name.endswith("context.jwk") else "A" * 43 + "=")
    for path, to in {"/etc/lychgate": tmp_path, "/run/secrets": tmp_path / "secrets", "/var/lib": tmp_path}.items():
        text = text.replace(path, str(to))
    file = tmp_path / "lychgate.yaml"
    file.write_text(
        re.sub(r"^ *(?:key_file: .*seal\.pem|tls:|cert_file: .*|key_file: .*tls\.key)\n", "", text, flags=re.MULTILINE)
    )
    done = lychgate("config", "check", "--config", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_configuration_is_checked_as_the_guide_says(tmp_path: Path) -> None:
    """In a folder with what the Secrets are made from, by the guide's own lines; `yq` alone is not asked."""
    guide = ROOT / "docs" / "guides" / "kubernetes.md"
    (secrets,) = [block.text for block in blocks(guide) if "cursor.key" in block.text]
    (check,) = [block.text for block in blocks(guide) if "config check" in block.text]
    rules = bring(tmp_path / "here").folder
    made = [line for line in secrets.splitlines() if line.startswith(("umask", "for ", "head ", "lychgate "))]
    (edit,) = [line for line in check.splitlines() if line.startswith("sed ")]
    done = template(values({"files": [], "config": {"issuers": trusted(f"{rules}/keys.json")}}))
    text = one(objects(done.stdout), "ConfigMap", f"{NAME}-config")["data"]["lychgate.yaml"]
    (rules / "rendered.yaml").write_text(text)
    private(rules / "owner", "owner's\n")
    private(rules / "redis-password", "redis'\n")
    script = "\n".join(["set -eu", *made, edit, "lychgate config check --config here.yaml"])
    ours = f'lychgate() {{ "{sys.executable}" -m lychgate "$@"; }}\n'
    kept = {key: value for key, value in os.environ.items() if not key.startswith("LYCHGATE_")}
    kept["PYTHONPATH"] = str(ROOT)
    ran = subprocess.run(
        ["bash", "-c", ours + script], cwd=rules, env=kept, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(made) == 4


def test_only_what_needs_a_restart_causes_one() -> None:
    """Another setting changes the pods; other routes, roles and policies do not: they are followed where they are."""
    base = {pod.part: pod.meta for pod in pods(rendered("inline"))}
    rules = {"rules": {"routes": "# another\n" + SETS["inline"]["rules"]["routes"]}}
    again = template(values(SETS["inline"], rules))
    other = template(values(SETS["inline"], {"gateway": {"drainSeconds": 31}}))
    assert {pod.part: pod.meta for pod in pods(objects(again.stdout))} == base
    changed = {pod.part: pod.meta for pod in pods(objects(other.stdout))}
    assert all(changed[part] != base[part] for part in ("gateway", "query"))


def objects(text: str) -> list[Object]:
    """Of a rendered text."""
    return [each for each in yaml.safe_load_all(text) if each]


def test_each_pod_records_under_its_own_name() -> None:
    """The pod's, which stays with its claim: two gateways under one name would be one producer with two counters."""
    for part, variable in (("gateway", "LYCHGATE_GATEWAY__NODE"), ("query", "LYCHGATE_QUERY__PRODUCER")):
        spec = one(rendered("least"), "StatefulSet", f"{NAME}-{part}")["spec"]["template"]["spec"]
        (found,) = [each for each in spec["containers"][0]["env"] if each["name"] == variable]
        assert found["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}


def test_spools_outlive_their_pods() -> None:
    """A claim of each pod's own, kept when it is scaled away and when the set is deleted."""
    for part in ("gateway", "query"):
        spec = one(rendered("least"), "StatefulSet", f"{NAME}-{part}")["spec"]
        assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
        (claim,) = spec["volumeClaimTemplates"]
        assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]
        assert spec["template"]["spec"]["securityContext"]["fsGroup"] == UID
        assert not [volume for volume in spec["template"]["spec"]["volumes"] if "emptyDir" in volume]


def test_a_pod_is_given_the_time_to_end_well() -> None:
    """Endpoints go, requests finish, the last records are delivered; nobody is killed before that."""
    for given, least in (({}, 10 + 30 + 5), ({"gateway": {"unreadySeconds": 20, "drainSeconds": 120}}, 145)):
        spec = one(objects(template(values(given)).stdout), "StatefulSet", f"{NAME}-gateway")["spec"]
        assert spec["template"]["spec"]["terminationGracePeriodSeconds"] > least
    reading = one(rendered("least"), "StatefulSet", f"{NAME}-query")["spec"]["template"]["spec"]
    assert reading["terminationGracePeriodSeconds"] > QuerySettings().shutdown_grace_s + 5
    relay = reading["initContainers"][0]
    assert relay["restartPolicy"] == "Always"  # a sidecar: it ends after the query process, and delivers its last words


def test_a_store_that_is_away_restarts_nobody() -> None:
    """Liveness asks whether the process answers; readiness, for what is served, what it waits for."""
    for pod in every_pod():
        for container in pod.containers:
            ports = {port["name"] for port in container.get("ports", [])}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                if probe not in container:
                    assert pod.part in {"migrate", "drain"} or (container["name"], probe) == ("relay", "readinessProbe")
                    continue
                asked = container[probe]["httpGet"]
                assert asked["path"] == ("/readyz" if probe == "readinessProbe" else "/healthz")
                assert asked["port"] in ports


def test_the_autoscaler_counts_cpu_and_lets_go_slowly() -> None:
    """See ADR 208. With it, the set says no number of its own, or each upgrade would undo what it did."""
    scaler = one(rendered("full"), "HorizontalPodAutoscaler", f"{NAME}-gateway")["spec"]
    assert [metric["resource"]["name"] for metric in scaler["metrics"]] == ["cpu"]
    assert scaler["behavior"]["scaleDown"]["stabilizationWindowSeconds"] >= 600
    assert scaler["behavior"]["scaleDown"]["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 600}]
    full = one(rendered("full"), "StatefulSet", f"{NAME}-gateway")["spec"]
    assert "replicas" not in full
    assert "cpu" in full["template"]["spec"]["containers"][0]["resources"]["requests"]  # of which it is a share


def test_disruptions_take_one_at_a_time() -> None:
    """Of every part that serves."""
    found = [each for each in rendered("kafka") if each["kind"] == "PodDisruptionBudget"]
    assert {each["metadata"]["name"] for each in found} == {
        f"{NAME}-{part}" for part in ("gateway", "query", "consumer")
    }
    assert all(each["spec"]["maxUnavailable"] == 1 for each in found)


def doors(which: str, part: str) -> dict[int, list[Any]]:
    """Port to who may reach it there; None for anybody."""
    policy = one(rendered(which), "NetworkPolicy", f"{NAME}-{part}")["spec"]
    found: dict[int, list[Any]] = {}
    for rule in policy.get("ingress", []):
        for port in rule["ports"]:
            found.setdefault(port["port"], []).append(rule.get("from"))
    return found


def test_only_the_public_port_is_for_everybody() -> None:
    """8081, 8082, 8083 and the metrics are for those who are named; without a name, for our own pods alone."""
    for which in SETS:
        for part in {pod.part for pod in pods(rendered(which))}:
            for port, peers in doors(which, part).items():
                assert port == 8080 or all(peers), (which, part, port)
    assert set(doors("least", "gateway")) == {8080, 8081}
    (only,) = doors("least", "gateway")[8081]
    assert only[0]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "query"
    assert doors("full", "gateway")[8080] == [[{"namespaceSelector": {"matchLabels": {"name": "ingress"}}}]]
    assert doors("full", "gateway")[8083] == [[{"podSelector": {"matchLabels": {"app": "envoy"}}}]]
    assert set(doors("full", "query")) == {8082, 9465}


def test_everything_else_is_denied() -> None:
    """Both ways, for every pod of the release; each part says whom it reaches, and on which ports."""
    denied = one(rendered("kafka"), "NetworkPolicy", f"{NAME}-deny")["spec"]
    assert denied["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in denied
    assert {port["port"] for rule in denied["egress"] for port in rule["ports"]} == {53}
    for pod in every_pod():
        assert denied["podSelector"]["matchLabels"].items() <= pod.meta["labels"].items()
    reached = {}
    for part in ("gateway", "query", "consumer", "migrate", "drain"):
        egress = one(rendered("kafka"), "NetworkPolicy", f"{NAME}-{part}")["spec"]["egress"]
        reached[part] = {port["port"] for rule in egress for port in rule["ports"]}
    assert reached == {
        "gateway": {9093, 9094, 6380, 443, 8080, 8082},  # the broker, Redis, issuers, services, the query API
        "query": {8081, 5432, 9093, 9094},
        "consumer": {5432, 9093, 9094},
        "migrate": {5432},
        "drain": {9093, 9094},
    }
    stores = one(rendered("full"), "NetworkPolicy", f"{NAME}-migrate")["spec"]["egress"]
    assert stores == [{"ports": [{"protocol": "TCP", "port": 5432}], "to": [{"ipBlock": {"cidr": "10.1.2.3/32"}}]}]


def test_a_collector_and_a_search_engine_are_reached_where_they_are_named() -> None:
    """On the ports of their URLs: spans by gateways, records by whoever relays. Nothing of it where they are not."""
    sinks = {"search": {"url": "https://search.example", "refused_folder": "/var/lib/lychgate/refused"}}
    config = {**LEAST["config"], "telemetry": {"endpoint": "http://otel:4318/v1/traces"}, "audit": {"sinks": sinks}}
    peers = {
        "collectors": [{"podSelector": {"matchLabels": {"app": "otel"}}}],
        "search": [{"ipBlock": {"cidr": "::1/128"}}],
    }
    done = template(values({"config": config, "networkPolicy": peers}))
    assert done.returncode == 0, done.stderr
    collector = {"ports": [{"protocol": "TCP", "port": 4318}], "to": peers["collectors"]}
    search = {"ports": [{"protocol": "TCP", "port": 443}], "to": peers["search"]}
    ways = {
        part: one(objects(done.stdout), "NetworkPolicy", f"{NAME}-{part}")["spec"]["egress"]
        for part in ("gateway", "query", "migrate")
    }
    assert collector in ways["gateway"]
    assert search in ways["gateway"]
    assert collector not in ways["query"]
    assert search in ways["query"]
    assert {port["port"] for rule in ways["migrate"] for port in rule["ports"]} == {5432}


def secret_settings(model: type[BaseModel], at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where a secret's text may stand in the configuration, key by key."""
    for name, field in model.model_fields.items():
        for kind in (field.annotation, *get_args(field.annotation)):
            if kind is SecretStr:
                yield (*at, name)
            elif isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from secret_settings(kind, (*at, name))


def test_the_text_of_a_secret_is_refused_in_the_configuration() -> None:
    """It becomes a ConfigMap, which more people may read; wherever a setting takes one, the chart says so."""
    found = list(secret_settings(Settings))
    assert {("store", "writer", "password"), ("audit", "sinks", "search", "password")} <= set(found)
    for path in found:
        given: Object = {path[-1]: "hunter2"}
        for key in reversed(path[:-1]):
            given = {key: given}
        done = template(values({"config": given}))
        assert done.returncode != 0, path
        assert f"config.{'.'.join(path)} is a secret" in done.stderr
        assert "hunter2" not in done.stdout + done.stderr


@pytest.mark.parametrize("word", ["on", "0123", "a: b", "a\n  port: 1", "#a", '"'])
def test_what_is_given_as_text_stays_text(word: str) -> None:
    """Whatever YAML would make of it: what the chart decides of the configuration is all there."""
    done = template(values({"store": {"host": word, "database": word, "owner": word}}))
    assert done.returncode == 0, done.stderr
    written = yaml.safe_load(one(objects(done.stdout), "ConfigMap", f"{NAME}-config")["data"]["lychgate.yaml"])
    assert [written["store"][key] for key in ("host", "database")] == [word, word]
    assert written["store"]["owner"]["user"] == word
    assert written["audit"]["spool"]["folder"] == "/var/lib/lychgate/spool"


def test_rules_arrive_as_they_were_given() -> None:
    """Also a text that begins with spaces or ends without a new line."""
    texts = {"routes": "  # indented\n[a]\n\ttab", "roles": "\n\n  b\n", "policies": {"x.cedar": "  permit;\n<&>\\"}}
    done = template(values({"rules": {"configMap": "", "policiesConfigMap": "", **texts}}))
    assert done.returncode == 0, done.stderr
    rules = one(objects(done.stdout), "ConfigMap", f"{NAME}-rules")["data"]
    assert rules == {"routes.toml": texts["routes"], "roles.toml": texts["roles"]}
    assert one(objects(done.stdout), "ConfigMap", f"{NAME}-policies")["data"] == texts["policies"]


def test_every_section_of_the_configuration_may_be_given() -> None:
    """One that the schema does not know could not be set at all; those of one machine alone have no place there."""
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]["config"]["properties"]
    assert set(Settings.model_fields) - set(schema) == {"samples", "coverage", "up"}


def test_the_public_service_carries_the_public_port_alone() -> None:
    """Operations have a service of their own, inside the cluster."""
    public = one(rendered("full"), "Service", f"{NAME}-gateway")["spec"]
    assert [port["targetPort"] for port in public["ports"]] == ["public"]
    assert one(rendered("full"), "Service", f"{NAME}-gateway-ops")["spec"]["type"] == "ClusterIP"
    for each in rendered("full"):
        if each["kind"] == "Service" and each["metadata"]["name"] != f"{NAME}-gateway":
            assert each["spec"].get("type", "ClusterIP") == "ClusterIP"


def test_alerts_and_dashboards_have_one_home() -> None:
    """What `deploy/prometheus` and `deploy/grafana` hold, and no copy of it."""
    found = {file.name: file for file in (ROOT / "deploy" / "prometheus").glob("*.rules.yml")}
    assert len(found) == len([each for each in rendered("full") if each["kind"] == "PrometheusRule"])
    for name, file in found.items():
        rules = one(rendered("full"), "PrometheusRule", f"{NAME}-{name.partition('.')[0]}")["spec"]
        assert rules == yaml.safe_load(file.read_text())
        assert (CHART / "files" / name).is_symlink()
    boards = one(rendered("full"), "ConfigMap", f"{NAME}-dashboards")["data"]
    files = {file.name: file.read_text() for file in (ROOT / "deploy" / "grafana" / "dashboards").glob("*.json")}
    assert {name: json.loads(text) for name, text in boards.items()} == {n: json.loads(t) for n, t in files.items()}
    assert (CHART / "files" / "dashboards").is_symlink()


def test_every_process_is_scraped_under_the_jobs_the_alerts_know() -> None:
    """A monitor each, on a port that the pods have."""
    monitors = [each for each in rendered("full") if each["kind"] == "PodMonitor"]
    ports = {port["name"] for pod in pods(rendered("full")) for box in pod.containers for port in box.get("ports", [])}
    jobs = set()
    for each in monitors:
        (endpoint,) = each["spec"]["podMetricsEndpoints"]
        assert endpoint["port"] in ports
        jobs |= {relabel["replacement"] for relabel in endpoint["relabelings"]}
    assert jobs == {"lychgate-gateway", "lychgate-query", "lychgate-relay"}


REFUSED: list[tuple[Object, str]] = [
    ({"gateway": {"spool": {"kind": "emptyDir"}}}, "gateway.spool.kind is emptyDir"),
    ({"query": {"spool": {"kind": "emptyDir"}}}, "query.spool.kind is emptyDir"),
    ({"redis": {"url": ""}}, "more than one gateway needs redis.url"),
    ({"redis": {"url": ""}, "gateway": {"replicas": 1, "autoscaling": {"enabled": True}}}, "needs redis.url"),
    ({"redis": {"url": "redis://:secret@redis:6379"}}, "does not match pattern"),
    ({"config": {"gateway": {"port": 80}}}, "config.gateway.port is decided by the chart"),
    ({"config": {"store": {"owner": {"password": "x"}, "host": "y"}}}, "config.store.host is decided by the chart"),
    ({"config": {"audit": {"spool": {"folder": "spool"}}}}, "config.audit.spool.folder is decided by the chart"),
    (
        {"config": {"audit": {"kafka": {"bootstrap_servers": "k:9092"}}}},
        "config.audit.kafka.bootstrap_servers is decided by the chart",
    ),
    (
        {"config": {"redis": {"url": "redis://r"}}, "redis": {"url": ""}, "gateway": {"replicas": 1}},
        "config.redis.url is decided by the chart",
    ),
    ({"config": {"gatewy": {}}}, "additional properties 'gatewy' not allowed"),
    ({"config": {"issuers": []}}, "minItems"),
    ({"gatway": {}}, "additional properties 'gatway' not allowed"),
    ({"gateway": {"spool": {"kind": "hostPath"}}}, "value must be one of"),
    ({"gateway": {"autoscaling": {"enabled": True, "minReplicas": 5, "maxReplicas": 2}}}, "less than minReplicas"),
    ({"rules": {"configMap": ""}}, "give rules.configMap"),
    ({"rules": {"policiesConfigMap": ""}}, "without policies everything is denied"),
    ({"rules": {"routes": "[[route]]"}}, "rules.configMap stands beside rules.routes or rules.roles"),
    ({"rules": {"policies": {"a.cedar": "permit;"}}}, "policies come from one of"),
    ({"config": {"policies": {"bundle": "/etc/lychgate/files/b/b.bundle"}}}, "policies come from one of"),
    ({"kafka": {"bootstrapServers": "k:9093", "sasl": {"mechanism": "PLAIN"}}}, "kafka.sasl needs secrets.kafka"),
    ({"kafka": {"bootstrapServers": "k:9093"}}, "kafka.securityProtocol is SASL_SSL: give kafka.sasl"),
    ({"drain": {"claims": [f"state-{NAME}-gateway-1"]}}, "belongs to a pod that runs; scale gateway down to 1 first"),
    ({"drain": {"claims": [f"state-{NAME}-query-0"]}}, "belongs to a pod that runs"),
    ({"drain": {"claims": ["data-postgres-0"]}}, "is no claim of this release"),
    ({"drain": {"claims": [f"state-{NAME}-gateway-x"]}}, "is no claim of this release"),
    ({"files": [{"name": "a", "secret": "b", "configMap": "c"}]}, "oneOf"),
    ({"networkPolicy": {"enabled": None}}, "missing property 'enabled'"),
    ({"networkPolicy": {"servicePorts": None}}, "missing property 'servicePorts'"),
    ({"networkPolicy": {"issuerPorts": None}}, "missing property 'issuerPorts'"),
    ({"kafka": {"bootstrapServers": "kafka-1,kafka-2", "securityProtocol": "SSL"}}, "does not match pattern"),
    ({"store": {"host": ""}}, "minLength"),
]


@pytest.mark.parametrize(("given", "why"), REFUSED, ids=[why for _, why in REFUSED])
def test_what_is_unsafe_or_a_slip_is_refused(given: Object, why: str) -> None:
    """Before anything is installed, in words that say what to do."""
    done = template(values(given))
    assert done.returncode != 0
    assert done.stdout == ""
    assert why.lower() in done.stderr.lower()


def test_one_gateway_or_one_who_knows_may_go_without_redis() -> None:
    """The refusal above is not in the way of those it is not about."""
    for given in ({"gateway": {"replicas": 1}}, {"gateway": {"revocationsStayLocal": True}}):
        assert template(values({"redis": {"url": ""}}, given)).returncode == 0


def test_a_release_that_is_taken_down_can_be_drained_whole() -> None:
    """Nothing runs any more, and the claims of the first pods are taken as those of the last."""
    claims = [f"state-{NAME}-{part}-{ordinal}" for part in ("gateway", "query") for ordinal in (0, 1)]
    done = template(values({"gateway": {"replicas": 0}, "query": {"replicas": 0}, "drain": {"claims": claims}}))
    assert done.returncode == 0, done.stderr
    found = objects(done.stdout)
    assert [each["spec"]["replicas"] for each in found if each["kind"] == "StatefulSet"] == [0, 0]
    jobs = [each for each in found if each["kind"] == "Job" and each["metadata"]["name"].startswith("drain-")]
    assert {
        job["spec"]["template"]["spec"]["volumes"][-1]["persistentVolumeClaim"]["claimName"] for job in jobs
    } == set(claims)


def test_no_claim_is_deleted_before_its_own_drain_is_complete() -> None:
    """As the guide and the notes have it typed: each step after the one before, and by no Job of an earlier time."""
    (block,) = [b.text for b in blocks(ROOT / "docs" / "guides" / "kubernetes.md") if "drain.claims" in b.text]
    steps = [step.strip() for step in block.replace("\\\n", "").split("&&\n")]
    assert all("\n" not in step for step in steps)
    assert "kubectl -n edge create -f -" in steps[0]
    assert "wait --for=condition=complete job/" in steps[1]
    assert re.search(r"delete pvc/\S+ job/\S+$", steps[2])
    notes = (CHART / "templates" / "NOTES.txt").read_text()
    assert "create -f -" in notes
    assert "apply" not in block + notes


def test_the_schema_knows_every_value_and_no_other() -> None:
    """`values.yaml` and `values.schema.json` name the same keys, at every depth; every table is closed."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    given = yaml.safe_load((CHART / "values.yaml").read_text())

    def compare(at: str, node: Object, value: Any) -> None:
        if "properties" not in node:
            return
        assert node["additionalProperties"] is False, at
        if at not in {"/config", "/kafka/sasl"} and not at.endswith(("/requests", "/limits")):
            extra = {"global"} if not at else set()  # Helm's own
            assert set(node["properties"]) - extra == set(value), at
        for key, below in node["properties"].items():
            if isinstance(value, dict) and key in value:
                compare(f"{at}/{key}", below, value[key])

    compare("", schema, given)


def test_the_chart_names_no_role_and_trusts_nobody_by_itself() -> None:
    """Out of the box it does not install: whose tokens are believed, the operator says."""
    done = template({})
    assert done.returncode != 0
    assert template({key: value for key, value in LEAST.items() if key != "redis"}).returncode != 0


def test_every_value_is_explained() -> None:
    """The generated page has each leaf of `values.yaml`, with its default."""
    page = PAGES["chart.md"]()
    given = yaml.safe_load((CHART / "values.yaml").read_text())

    def leaves(at: str, value: Any) -> Iterator[str]:
        if isinstance(value, dict) and value:
            for key, below in value.items():
                yield from leaves(f"{at}.{key}".lstrip("."), below)
        else:
            yield f"| `{at}` | `{json.dumps(value)}` |"

    inline = re.compile(r"\.(?:requests|limits)\.")
    assert [row for row in leaves("", given) if not inline.search(row) and row not in page] == []
