"""The chart as Helm renders it, and what of it tests look at."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.servers.programs import built

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "helm" / "lychgate"
RELEASE = "shop"
NAME = f"{RELEASE}-lychgate"
Object = dict[str, Any]

LEAST: Object = {
    "config": {
        "issuers": [
            {
                "name": "staff",
                "iss": "https://id.example",
                "jwks_file": "/etc/lychgate/files/keys/keys.json",
                "audiences": ["lychgate"],
                "algorithms": ["ES256"],
                "tenants": ["acme"],
                "roles": ["*"],
            }
        ],
        "services": {
            name: f"http://{name}.shop:8080"
            for name in ("product", "order", "inventory", "loyalty", "payment", "customer", "integration")
        },
    },
    "files": [{"name": "keys", "configMap": "issuer-keys"}],
    "rules": {"configMap": "rules", "policiesConfigMap": "policies"},
    "store": {"host": "db.example"},
    "redis": {"url": "rediss://redis.example:6380/0"},
}
"""What an operator has to say at least."""

_KAFKA: Object = {
    "kafka": {
        "bootstrapServers": "kafka-1.example:9093,kafka-2.example:9094",
        "sasl": {"mechanism": "SCRAM-SHA-512", "username": "lychgate"},
    },
    "secrets": {"kafka": "lychgate-kafka", "seal": "lychgate-seal"},
}
_FULL: Object = {
    "config": {
        **LEAST["config"],
        "doors": {"ext_authz": {"enabled": True, "host": "::"}, "peers": ["10.0.0.0/8"]},
    },
    "gateway": {"autoscaling": {"enabled": True, "minReplicas": 3, "maxReplicas": 9}, "workers": 4},
    "secrets": {"tls": "lychgate-tls", "seal": "lychgate-seal"},
    "networkPolicy": {
        "clients": [{"namespaceSelector": {"matchLabels": {"name": "ingress"}}}],
        "services": [{"namespaceSelector": {"matchLabels": {"name": "shop"}}}],
        "operators": [{"podSelector": {"matchLabels": {"app": "admin"}}}],
        "proxies": [{"podSelector": {"matchLabels": {"app": "envoy"}}}],
        "monitoring": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
        "store": [{"ipBlock": {"cidr": "10.1.2.3/32"}}],
    },
    "monitoring": {"scrape": True, "rules": True, "dashboards": True, "labels": {"release": "prometheus"}},
    "drain": {"claims": [f"state-{NAME}-gateway-5", f"state-{NAME}-query-2"]},
    "image": {"repository": "registry.example/lychgate", "digest": "sha256:" + "ab" * 32},
}
_EPHEMERAL: Object = {
    "audit": {"guarantee": {"ephemeral": True}},
    "gateway": {"spool": {"kind": "emptyDir"}, "replicas": 1},
    "query": {"spool": {"kind": "emptyDir"}, "replicas": 1},
    "redis": {"url": ""},
}
_INLINE: Object = {
    "rules": {
        "configMap": "",
        "policiesConfigMap": "",
        "routes": (ROOT / "routes.toml").read_text(),
        "roles": (ROOT / "roles" / "roles.toml").read_text(),
        "policies": {file.name: file.read_text() for file in sorted((ROOT / "policies").glob("*.cedar*"))},
    }
}
SETS: Mapping[str, Object] = {"least": {}, "kafka": _KAFKA, "full": _FULL, "ephemeral": _EPHEMERAL, "inline": _INLINE}
"""What else an operator may say, by what it is about."""


def values(*more: Object) -> Object:
    """The least, with others laid over it; tables are merged."""
    found = LEAST
    for each in more:
        found = _over(found, each)
    return found


def _over(below: Object, above: Object) -> Object:
    both = {
        key: _over(below[key], value) if isinstance(value, dict) and isinstance(below.get(key), dict) else value
        for key, value in above.items()
    }
    return {**below, **both}


def helm(*words: str, given: Object) -> "subprocess.CompletedProcess[str]":
    """Run Helm on the chart with these values."""
    return subprocess.run(
        [built("helm"), *words, "--values", "-"], input=json.dumps(given), capture_output=True, text=True, check=False
    )


def template(given: Object) -> "subprocess.CompletedProcess[str]":
    """`helm template`."""
    return helm("template", RELEASE, str(CHART), "--namespace", "edge", "--kube-version", "1.32.0", given=given)


@cache
def rendered(which: str) -> list[Object]:
    """The objects of one of the sets."""
    done = template(values(SETS[which]))
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


class Pod(NamedTuple):
    """A pod as some object makes it.

    Attributes:
        of: `kind/name` of that object.
        part: Its `app.kubernetes.io/component`.
        spec: Its spec.
        meta: Its metadata.
    """

    of: str
    part: str
    spec: Object
    meta: Object

    @property
    def containers(self) -> list[Object]:
        """All of them, sidecars first."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]


def pods(objects: list[Object]) -> Iterator[Pod]:
    """Every pod that comes of them."""
    for each in objects:
        made = each.get("spec", {}).get("template")
        if made is not None:
            part = made["metadata"]["labels"]["app.kubernetes.io/component"]
            yield Pod(f"{each['kind']}/{each['metadata']['name']}", part, made["spec"], made["metadata"])


def one(objects: list[Object], kind: str, name: str) -> Object:
    """The object of that kind and name."""
    (found,) = [each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name]
    return found
