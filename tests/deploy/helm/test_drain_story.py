"""A gateway that was scaled away: its claim is drained by the very command of the chart's Job, into a real PostgreSQL.

The gateway is a real one, as the chart's pod starts it (arguments, variables, configuration, mounts put elsewhere), and
ends by SIGKILL, as a node that dies ends it.
"""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from audit.spool.inspect import stat as look
from tests.builders.command import run as lychgate
from tests.builders.deployed import answers, await_true, bring, fetch, passwords, refund, store
from tests.servers.helm import NAME, Object, Pod, one, pods, rendered, template, values
from tests.servers.ports import free_port
from tests.servers.postgres import Logins

ROOT = Path(__file__).parents[3]
CLAIM = f"state-{NAME}-gateway-1"
GATEWAYS = {"gateway": {"replicas": 1}, "redis": {"url": ""}, "drain": {"claims": [CLAIM]}}

SLOW = {"LYCHGATE_AUDIT__RELAY__POLL_INTERVAL_S": "600"}
"""A relay that looks once, so that what comes after that stays on the disk."""


class Node:
    """A machine on which pods are put: their mounts become folders below one, their ports free ones."""

    def __init__(self, folder: Path, logins: Logins, objects: list[Object]) -> None:
        self.folder = folder
        self.brought = bring(folder / "etc" / "rules")
        (folder / "etc" / "rules" / "policies").rename(folder / "etc" / "policies")
        (folder / "etc" / "files" / "keys").mkdir(parents=True)
        (folder / "etc" / "rules" / "keys.json").rename(folder / "etc" / "files" / "keys" / "keys.json")
        secrets = folder / "run" / "lychgate"
        users = passwords(logins, folder / "passwords")
        for name in users:
            (secrets / name).mkdir(parents=True)
            shutil.copy(folder / "passwords" / name, secrets / name / "password")
        self.ports = {port: free_port() for port in (8080, 8081)}
        self.config = folder / "etc" / "config" / "lychgate.yaml"
        self.config.parent.mkdir()
        text = one(objects, "ConfigMap", f"{NAME}-config")["data"]["lychgate.yaml"]
        settings = yaml.safe_load(self.here(text))
        settings["store"] |= store(logins)
        for name, user in users.items():
            settings["store"][name]["user"] = user
        settings["gateway"] |= {"port": self.ports[8080], "host": "127.0.0.1"}
        settings["ops"] |= {"port": self.ports[8081], "host": "127.0.0.1"}
        settings["context"]["key_file"] = str(
            folder / "context.jwk"
        )  # an operator's key; made here where there is none
        self.config.write_text(yaml.safe_dump(settings))

    def here(self, text: str) -> str:
        """With the paths of this machine."""
        for path, to in (("/etc/lychgate", "etc"), ("/run/secrets", "run"), ("/var/lib/lychgate", "claim")):
            text = text.replace(path, str(self.folder / to))
        return text

    def words(self, pod: Pod) -> list[str]:
        """What its container runs."""
        return [self.here(word) for word in pod.spec["containers"][0]["args"]]


def the(part: str, objects: list[Object]) -> Pod:
    """The one pod of a part."""
    (found,) = [pod for pod in pods(objects) if pod.part == part]
    return found


def killed(node: Node, objects: list[Object], name: str) -> None:
    """Run the gateway's pod under a name, have something recorded that is not delivered yet, and kill it."""
    pod = the("gateway", objects)
    names = {each["name"] for each in pod.spec["containers"][0]["env"] if "valueFrom" in each}
    log = node.folder / "gateway.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "lychgate", *node.words(pod)],
            cwd=ROOT,
            env={**os.environ, "LYCHGATE_CONFIG": str(node.config), **SLOW, **dict.fromkeys(names, name)},
            stderr=said,
            start_new_session=True,
        )
    try:
        await_true(lambda: answers(f"http://127.0.0.1:{node.ports[8081]}/readyz"), log.read_text)
        for _ in range(20):
            assert refund(f"http://127.0.0.1:{node.ports[8080]}", node.brought) == 403
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def as_kubelet_does(claim: Path) -> None:
    """What fsGroup does to a volume whose owner does not match: everything becomes the group's, and open to it."""
    for path in [claim, *claim.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        path.chmod(mode | (0o2770 if path.is_dir() else 0o660))


@pytest.mark.parametrize("walked", [False, True], ids=["as it was left", "after fsGroup"])
def test_a_claim_is_drained_and_may_go(tmp_path: Path, migrated_database: Logins, walked: bool) -> None:
    """Every record once, each producer of the pod ended, nobody holds completeness back, and the Job says so."""
    objects = rendered_with()
    node = Node(tmp_path, migrated_database, objects)
    killed(node, objects, f"{NAME}-gateway-1")
    denials = "SELECT count(*) AS n FROM audit_events WHERE status = 403"
    assert fetch(migrated_database.owner, denials)[0]["n"] == 0
    if walked:
        as_kubelet_does(tmp_path / "claim")
    words = node.words(the("drain", objects))
    done = lychgate(*words, "--config", str(node.config))
    assert done.returncode == 0, done.stdout + done.stderr
    said = {row["producer"]: row for row in json.loads(done.stdout)}
    assert set(said) == {f"{NAME}-gateway-1-{each}" for each in ("supervisor", "w0", "w1")}
    assert all(row["clear"] for row in said.values())
    assert fetch(migrated_database.owner, denials)[0]["n"] == 20
    states = fetch(migrated_database.owner, "SELECT producer, state, holds FROM audit_producer_states()")
    assert {row["producer"]: (row["state"], row["holds"]) for row in states} == dict.fromkeys(said, ("ended", False))
    assert lychgate(*words, "--config", str(node.config)).returncode == 0
    assert fetch(migrated_database.owner, denials)[0]["n"] == 20
    assert fetch(migrated_database.owner, "SELECT count(*) AS n FROM audit_conflicts")[0]["n"] == 0


def rendered_with() -> list[Object]:
    """One gateway, and the claim of another that is no more."""
    done = template(values(GATEWAYS))
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def test_a_pod_that_comes_back_adopts_its_own_claim(tmp_path: Path, migrated_database: Logins) -> None:
    """Scaled up again instead: the same name on the same claim goes on, and delivers what its predecessor left."""
    objects = rendered_with()
    node = Node(tmp_path, migrated_database, objects)
    killed(node, objects, f"{NAME}-gateway-1")
    killed(node, objects, f"{NAME}-gateway-1")
    denials = "SELECT count(*) AS n FROM audit_events WHERE status = 403"
    assert lychgate(*node.words(the("drain", objects)), "--config", str(node.config)).returncode == 0
    assert fetch(migrated_database.owner, denials)[0]["n"] == 40
    assert len(look(tmp_path / "claim" / "spool", 0)) == 3  # the same producers, under the same names
    states = fetch(migrated_database.owner, "SELECT DISTINCT state FROM audit_producer_states()")
    assert [row["state"] for row in states] == ["ended"]


def test_the_migration_of_the_chart_is_one(
    tmp_path: Path, migrated_database: Logins, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hook's Job with nothing but its variables and its secrets: a store that is up to date is said to be."""
    objects = rendered("least")
    node = Node(tmp_path, migrated_database, objects)
    pod = the("migrate", objects)
    at = store(migrated_database)
    real = {"HOST": at["host"], "PORT": at["port"], "DATABASE": at["database"], "OWNER__USER": "lychgate"}
    for each in pod.spec["containers"][0]["env"]:
        key = each["name"].removeprefix("LYCHGATE_STORE__")
        monkeypatch.setenv(each["name"], str(real.get(key, node.here(each["value"]))))
    done = lychgate(*node.words(pod))
    assert (done.returncode, done.stdout) == (0, "the store is up to date\n"), done.stderr
