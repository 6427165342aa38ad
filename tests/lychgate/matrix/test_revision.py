"""Policies as they were: read from git, whatever is asked for."""

import shutil
import subprocess
from pathlib import Path

import pytest

from lychgate.errors import ConfigurationError
from lychgate.matrix.revision import at_revision
from tests.builders.questions import ROOT


def git(folder: Path, *words: str) -> str:
    """As somebody."""
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *who, "-C", str(folder), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The shipped policies and roles, committed, below the top."""
    top = tmp_path / "repo"
    (top / "conf" / "roles").mkdir(parents=True)
    shutil.copy(ROOT / "roles/roles.toml", top / "conf/roles/roles.toml")
    (top / "conf" / "policies").mkdir()
    for file in (ROOT / "policies").glob("*.cedar*"):
        shutil.copy(file, top / "conf/policies")
    git(top, "init", "-q", "-b", "main")
    git(top, "add", ".")
    git(top, "commit", "-qm", "first")
    return top


def read(top: Path, revision: str) -> str:
    """The version of the policies at a revision."""
    bundle, catalogue = at_revision(revision, top / "conf/policies", top / "conf/roles/roles.toml")
    assert "Cashier" in catalogue.names
    return bundle.version


def test_what_was_committed_is_read_and_not_what_is_there(repository: Path) -> None:
    """The working tree is neither looked at nor touched."""
    first = read(repository, "HEAD")
    order = repository / "conf/policies/order.cedar"
    order.write_text(order.read_text().replace("<= 10 }", "<= 20 }"))
    assert read(repository, "main") == first
    git(repository, "commit", "-qam", "second")
    assert read(repository, "HEAD") != first
    assert read(repository, "HEAD~1") == first
    assert git(repository, "status", "--porcelain") == ""


@pytest.mark.parametrize("revision", ["nosuch", "--help", "-n1", "HEAD~9", "", "HEAD^{tree}", "a b", "\0"])
def test_what_is_no_revision_is_refused(repository: Path, revision: str) -> None:
    """And never taken for an option."""
    with pytest.raises(ConfigurationError, match=r"is no revision that git knows here|git cannot be asked"):
        read(repository, revision)


def test_a_revision_with_another_layout_says_so(repository: Path) -> None:
    """The folder, the schema or the roles were not there."""
    git(repository, "mv", "conf", "etc")
    git(repository, "commit", "-qm", "moved")
    with pytest.raises(ConfigurationError, match=r"HEAD~1: has no `schema.cedarschema` in `etc/policies/`"):
        at_revision("HEAD~1", repository / "etc/policies", repository / "etc/roles/roles.toml")
    git(repository, "rm", "-q", "etc/roles/roles.toml")
    git(repository, "commit", "-qm", "no roles")
    (repository / "etc/roles").mkdir(exist_ok=True)
    with pytest.raises(ConfigurationError, match=r"HEAD: has no file `etc/roles/roles.toml`"):
        at_revision("HEAD", repository / "etc/policies", repository / "etc/roles/roles.toml")


def test_a_revision_that_was_broken_says_where(repository: Path) -> None:
    """With file and line, for policies and for roles."""
    order = repository / "conf/policies/order.cedar"
    order.write_text("nonsense\n" + order.read_text())
    git(repository, "commit", "-qam", "broken")
    with pytest.raises(ConfigurationError, match=r"HEAD: order.cedar:4: unexpected token"):
        read(repository, "HEAD")
    git(repository, "checkout", "-q", "HEAD~1", "--", "conf/policies")
    (repository / "conf/roles/roles.toml").write_text("nonsense")
    git(repository, "commit", "-qam", "broken roles")
    with pytest.raises(ConfigurationError, match=r"HEAD: conf/roles/roles.toml:1: "):
        read(repository, "HEAD")


def test_what_is_not_utf_8_says_so(repository: Path) -> None:
    """Names the file."""
    (repository / "conf/policies/order.cedar").write_bytes(b"\xff")
    git(repository, "commit", "-qam", "bytes")
    with pytest.raises(ConfigurationError, match=r"conf/policies/order.cedar: not UTF-8"):
        read(repository, "HEAD")


def test_a_folder_outside_git_says_so(tmp_path: Path) -> None:
    """There is nothing to compare with."""
    with pytest.raises(ConfigurationError, match="is not in a git repository"):
        at_revision("HEAD", tmp_path, tmp_path / "roles.toml")


def test_a_machine_without_git_says_so(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kind of failure, no more."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigurationError, match="git cannot be asked: FileNotFoundError"):
        read(repository, "HEAD")
