"""`lychgate policy bundle` as an operator uses it: a key, a bundle, a look at it, and a gateway's configuration."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from lychgate import cli
from lychgate.errors import LychgateError
from policies.load import load_bundle

ROOT = Path(__file__).parents[2]
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command in a folder of its own, with a copy of the policies and a key pair."""
    shutil.copytree(ROOT / "policies", tmp_path / "policies", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    shutil.copytree(ROOT / "roles", tmp_path / "roles", ignore=shutil.ignore_patterns("*.py", "__pycache__", "*/"))
    shutil.copy(ROOT / "routes.toml", tmp_path)
    monkeypatch.chdir(tmp_path)

    def bundle(*words: str, verb: str = "policy bundle") -> Result:
        return CliRunner().invoke(cli.app, [*verb.split(), *words])

    assert bundle("--make-key", "key.pem").exit_code == 0
    return bundle


def refusal(done: Result) -> str:
    """The message of a command that ended with code 2."""
    assert isinstance(done.exception, LychgateError), done.output
    assert done.exception.exit_code == 2
    return str(done.exception)


def test_a_bundle_is_packed_the_same_each_time_and_verified(run: Run, tmp_path: Path) -> None:
    """Serial, key, version and files are said, for people and for scripts; the version is that of every record."""
    done = run("--key", "key.pem", "--out", "p.lcb", "--serial", "3", "--with-roles", "--with-routes")
    assert done.exit_code == 0
    assert "p.lcb: serial 3, 14 files, signed with " in done.output
    first = (tmp_path / "p.lcb").read_bytes()
    again = run(
        "policies", "--key", "key.pem", "--out", "p.lcb", "--serial", "3", "--with-roles", "--with-routes", "--json"
    )
    assert json.loads(again.output)["serial"] == 3
    assert (tmp_path / "p.lcb").read_bytes() == first
    assert (tmp_path / "p.lcb").stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in tmp_path.glob(".*")) == []

    version = load_bundle(tmp_path / "policies").version
    shown = run("--verify", "p.lcb", "--public-key", "key.pem.pub")
    assert shown.exit_code == 0
    assert f"p.lcb: serial 3, policies {version}, signed with " in shown.output
    assert "routes.toml  " in shown.output
    scripts = json.loads(run("--verify", "p.lcb", "--public-key", "key.pem.pub", "--show", "--json").output)
    assert scripts["policy_version"] == version
    assert scripts["files"]["order.cedar"] == (tmp_path / "policies" / "order.cedar").read_text()
    assert "--- order.cedar\n// Orders" in run("--verify", "p.lcb", "--public-key", "key.pem.pub", "--show").output


def test_without_a_serial_a_later_bundle_has_a_higher_one(run: Run) -> None:
    """The time in seconds."""
    assert run("--key", "key.pem", "--out", "p.lcb").exit_code == 0
    assert (
        json.loads(run("--verify", "p.lcb", "--public-key", "key.pem.pub", "--json").output)["serial"] > 1_700_000_000
    )


def test_what_is_not_in_order_is_not_packed(run: Run, tmp_path: Path) -> None:
    """Findings are printed, exit code 1, and nothing is written; policies, roles and routes."""
    (tmp_path / "policies" / "more.cedar").write_text("permit (principal, action, resource);")
    done = run("--key", "key.pem", "--out", "p.lcb")
    assert (done.exit_code, done.output) == (1, "policies/more.cedar:1: a policy without an `@id`\n")
    (tmp_path / "policies" / "more.cedar").unlink()
    (tmp_path / "routes.toml").write_text(
        '[[route]]\nid = "x"\nmethod = "GET"\npath = "/x"\nservice = "order"\naction = "order:none"\n'
        'resource = { type = "Order" }\n'
    )
    done = run("--key", "key.pem", "--out", "p.lcb", "--with-routes")
    assert done.exit_code == 1
    assert "order:none" in done.output
    assert not (tmp_path / "p.lcb").exists()


def test_a_bundle_that_is_refused_is_a_finding(run: Run, tmp_path: Path) -> None:
    """With the file and the reason, for people and for scripts; also one whose policies do not hold."""
    assert run("--make-key", "other.pem").exit_code == 0
    assert run("--key", "other.pem", "--out", "p.lcb").exit_code == 0
    done = run("--verify", "p.lcb", "--public-key", "key.pem.pub")
    assert done.exit_code == 1
    assert done.output.startswith("p.lcb: signed with the key ")
    assert (
        "is not trusted"
        in json.loads(run("--verify", "p.lcb", "--public-key", "key.pem.pub", "--json").output)["problem"]
    )
    (tmp_path / "none.lcb").unlink(missing_ok=True)
    done = run("--verify", "none.lcb", "--public-key", "key.pem.pub")
    assert (done.exit_code, done.output) == (1, "none.lcb: cannot be read: No such file or directory\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "give one of --out, --verify and --make-key"),
        (("--out", "p.lcb", "--verify", "p.lcb"), "give one of --out, --verify and --make-key"),
        (("--out", "p.lcb"), "--out needs --key"),
        (("--verify", "p.lcb"), "--verify needs --public-key, or policies.bundle_public_keys"),
    ],
)
def test_wrong_usage(run: Run, words: tuple[str, ...], message: str) -> None:
    """Exit code 2, and what is wrong."""
    done = run(*words)
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())


def test_what_cannot_be_used_is_named(run: Run, tmp_path: Path) -> None:
    """Keys, folders and files that are not there or not what they should be."""
    assert refusal(run("--make-key", "key.pem")) == "key.pem: is there already"
    assert refusal(run("--key", "none.pem", "--out", "p.lcb")) == "none.pem: cannot be read: No such file or directory"
    assert refusal(run("--key", "key.pem", "--out", "none/p.lcb")) == (
        "none/p.lcb: cannot be written: No such file or directory"
    )
    assert refusal(run("none", "--key", "key.pem", "--out", "p.lcb")) == "none: there is no such folder"
    assert refusal(run("--verify", "p.lcb", "--public-key", "key.pem")) == ("key.pem: not an Ed25519 public key in PEM")


def test_config_check_reads_the_bundle(run: Run, tmp_path: Path) -> None:
    """As a gateway would at its start: signature, serial, policies, the roles and routes it brings."""
    (tmp_path / "lychgate.yaml").write_text(
        "policies: {bundle: p.lcb, bundle_public_keys: [key.pem.pub], bundle_min_serial: 3}\n"
    )
    assert run("--key", "key.pem", "--out", "p.lcb", "--serial", "3", "--with-roles", "--with-routes").exit_code == 0
    (tmp_path / "roles" / "roles.toml").unlink()
    (tmp_path / "routes.toml").unlink()
    shutil.rmtree(tmp_path / "policies")
    done = run(verb="config check")
    assert (done.exit_code, done.output) == (0, "the configuration is in order\n")
    assert run("--verify", "p.lcb").exit_code == 0  # by the configured keys
    assert run(verb="policy check").output == "the policies are in order\n"
    assert "allow" in run("--role", "Admin", "--action", "order:read", verb="policy matrix").output
    assert run("--role", "Admin", "--action", "order:read", verb="policy explain").exit_code == 0
    data = (tmp_path / "p.lcb").read_bytes()
    (tmp_path / "p.lcb").write_bytes(data + b"\n")
    done = run(verb="config check")
    assert (done.exit_code, done.output) == (1, "p.lcb: 1 bytes after its end\n")
    assert refusal(run(verb="policy matrix")) == "p.lcb: 1 bytes after its end"
    (tmp_path / "lychgate.yaml").write_text("policies: {bundle: p.lcb}\n")
    assert "policies: bundle needs bundle_public_keys: whose signature is believed" in refusal(run(verb="config check"))
    (tmp_path / "lychgate.yaml").write_text("policies: {bundle_min_serial: 3}\n")
    assert "are of no use without bundle" in refusal(run(verb="config check"))
