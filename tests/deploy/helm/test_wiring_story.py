"""What one object of the chart says of another is true: selectors, ports, names, files. A schema sees none of it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.servers.helm import NAME, SETS, Object, Pod, one, pods, rendered, template, values

ROOT = Path(__file__).parents[3]
PARTS = ("gateway", "query", "consumer", "migrate", "drain")
every_set = pytest.mark.parametrize("which", sorted(SETS))


def selected(objects: list[Object], labels: dict[str, str]) -> set[str]:
    """The parts whose pods have these labels."""
    return {pod.part for pod in pods(objects) if labels.items() <= pod.meta["labels"].items()}


def part_of(each: Object) -> str:
    """Which part an object is about, by its name."""
    name = each["metadata"]["name"].removeprefix(f"{NAME}-")
    (part,) = [part for part in (*PARTS, "relay") if name.split("-")[0] == part]
    return "query" if part == "relay" else part


def the(part: str, objects: list[Object]) -> Pod:
    """A pod of a part."""
    return next(pod for pod in pods(objects) if pod.part == part)


def named_ports(pod: Pod) -> dict[str, int]:
    """A pod's ports by name; a name stands once, or a service would go to either."""
    found = [(port["name"], port["containerPort"]) for box in pod.containers for port in box.get("ports", [])]
    assert len(dict(found)) == len(found), pod.of
    return dict(found)


@every_set
def test_whoever_selects_pods_selects_those_it_is_for(which: str) -> None:
    """Services, budgets, network policies, monitors, spreads, and the workloads themselves."""
    objects = rendered(which)
    seen = set()
    for each in objects:
        spec = each.get("spec", {})
        found = spec.get("selector") or spec.get("podSelector")
        if found is None:
            continue
        labels = found.get("matchLabels", found)
        everybody = each["metadata"]["name"] == f"{NAME}-deny"
        here = {pod.part for pod in pods(objects)}
        wanted = here if everybody else {part_of(each)} & here
        assert selected(objects, labels) == wanted, (each["kind"], each["metadata"]["name"])
        seen.add(each["kind"])
    assert {"Service", "StatefulSet", "PodDisruptionBudget", "NetworkPolicy"} <= seen
    for pod in pods(objects):
        for spread in pod.spec.get("topologySpreadConstraints", []):
            assert selected(objects, spread["labelSelector"]["matchLabels"]) == {pod.part}, pod.of


@every_set
def test_every_port_leads_to_one_that_its_pod_opens(which: str) -> None:
    """By name, with the number that the process listens on."""
    objects = rendered(which)
    settings = yaml.safe_load(one(objects, "ConfigMap", f"{NAME}-config")["data"]["lychgate.yaml"])
    numbers = {
        "public": settings["gateway"]["port"],
        "ops": settings["ops"]["port"],
        "query": settings["query"]["port"],
    }
    numbers["relay"] = settings["audit"]["relay"]["metrics_port"]
    for each in (each for each in objects if each["kind"] == "Service"):
        ports = named_ports(the(part_of(each), objects))
        for port in each["spec"]["ports"]:
            assert port["name"] == port["targetPort"], each["metadata"]["name"]
            assert port["targetPort"] in ports, each["metadata"]["name"]
            if port["name"] != "public":
                assert port["port"] == ports[port["targetPort"]]
    for pod in pods(objects):
        for name, number in named_ports(pod).items():
            assert numbers.get(name, number) == number, (pod.of, name)


@every_set
def test_what_is_named_is_there(which: str) -> None:
    """The headless service of each set, the set of the autoscaler, the account, the release's own ConfigMaps."""
    objects = rendered(which)
    there = {(each["kind"], each["metadata"]["name"]) for each in objects}
    for each in objects:
        if each["kind"] == "StatefulSet":
            headless = one(objects, "Service", each["spec"]["serviceName"])
            assert headless["spec"]["clusterIP"] == "None"
            assert part_of(headless) == part_of(each)
        if each["kind"] == "HorizontalPodAutoscaler":
            to = each["spec"]["scaleTargetRef"]
            assert (to["apiVersion"], to["kind"], to["name"]) == ("apps/v1", "StatefulSet", f"{NAME}-gateway")
            assert (to["kind"], to["name"]) in there
    for pod in pods(objects):
        account = pod.spec.get("serviceAccountName")
        assert (pod.part == "migrate") == (account is None)
        assert account is None or ("ServiceAccount", account) in there
        for volume in pod.spec["volumes"]:
            name = volume.get("configMap", {}).get("name", "")
            assert not name.startswith(NAME) or ("ConfigMap", name) in there, (pod.of, name)


@every_set
def test_our_own_addresses_are_services_of_the_release(which: str) -> None:
    """Where keys are fetched, and where the audit is read: a name and a port that a Service of ours has."""
    objects = rendered(which)
    settings = yaml.safe_load(one(objects, "ConfigMap", f"{NAME}-config")["data"]["lychgate.yaml"])
    for url in (settings["query"]["jwks_url"], settings["services"]["audit"]):
        at = urlsplit(url)
        ports = {port["port"] for port in one(objects, "Service", str(at.hostname))["spec"]["ports"]}
        assert at.port in ports, url


def files_of(pod: Pod) -> Iterator[tuple[str, set[str] | None]]:
    """The folders under `/run/secrets` that a pod mounts, and which files are in them; None: all of the Secret's."""
    volumes = {volume["name"]: volume for volume in pod.spec["volumes"]}
    for container in pod.containers:
        for mount in container["volumeMounts"]:
            if mount["mountPath"].startswith("/run/secrets/"):
                items = volumes[mount["name"]]["secret"].get("items")
                yield mount["mountPath"], None if items is None else {item["path"] for item in items}


@every_set
def test_every_secret_file_is_mounted_where_it_is_looked_for(which: str) -> None:
    """Each path of the configuration and of variables, in some pod; or a process would find its folder empty."""
    objects = rendered(which)
    mounted = {folder: files for pod in pods(objects) for folder, files in files_of(pod)}
    text = one(objects, "ConfigMap", f"{NAME}-config")["data"]["lychgate.yaml"]
    variables = [str(each.get("value")) for pod in pods(objects) for box in pod.containers for each in box["env"]]
    named = set(re.findall(r"/run/secrets/\S+", "\n".join([text, *variables])))
    assert len(named) > 5
    for path in named:
        folder, _, name = path.rpartition("/")
        assert folder in mounted, path
        files = mounted[folder]
        assert files is None or name in files, path


def test_monitors_ask_where_metrics_are() -> None:
    """The path of each job is that of `deploy/compose`, whose scraping is tried with a real Prometheus."""
    tried = yaml.safe_load((ROOT / "deploy" / "compose" / "prometheus.yml").read_text())["scrape_configs"]
    paths = {job["job_name"]: job.get("metrics_path", "/metrics") for job in tried} | {"lychgate-relay": "/metrics"}
    config: dict[str, Any] = {"monitoring": {"scrape": True}}
    done = template(values(SETS["kafka"], config))
    assert done.returncode == 0, done.stderr
    objects = [each for each in yaml.safe_load_all(done.stdout) if each]
    jobs = set()
    for each in (each for each in objects if each["kind"] == "PodMonitor"):
        (endpoint,) = each["spec"]["podMetricsEndpoints"]
        (job,) = [relabel["replacement"] for relabel in endpoint["relabelings"]]
        assert endpoint["path"] == paths[job], job
        assert selected(objects, each["spec"]["selector"]["matchLabels"]) == {part_of(each)}
        assert endpoint["port"] in named_ports(the(part_of(each), objects)), job
        jobs.add(job)
    assert jobs == set(paths)


def test_claims_are_as_large_as_is_said() -> None:
    """The size, the class and the mode of each part's own values."""
    spool = {"size": "7Gi", "storageClass": "fast", "accessMode": "ReadWriteOnce"}
    done = template(values({"gateway": {"spool": spool}}))
    assert done.returncode == 0, done.stderr
    objects = [each for each in yaml.safe_load_all(done.stdout) if each]
    (claim,) = one(objects, "StatefulSet", f"{NAME}-gateway")["spec"]["volumeClaimTemplates"]
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "fast",
        "resources": {"requests": {"storage": "7Gi"}},
    }
    (other,) = one(objects, "StatefulSet", f"{NAME}-query")["spec"]["volumeClaimTemplates"]
    assert other["spec"]["resources"]["requests"]["storage"] == "2Gi"
    assert "storageClassName" not in other["spec"]
