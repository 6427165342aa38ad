"""What is scanned, and what a service says of itself."""

from pathlib import Path

import pytest

from lychgate.coverage.configuration import targets
from lychgate.coverage.settings import CoverageSettings, ServiceCoverage
from lychgate.errors import ConfigurationError

NONE = CoverageSettings()


def test_a_folder_is_a_service_of_its_name(tmp_path: Path) -> None:
    """With what `coverage.toml` beside it says, else the nearest pyproject.toml."""
    (tmp_path / "shop").mkdir()
    (found,) = targets([tmp_path / "shop"], [], NONE, tmp_path)
    assert (found.name, found.told) == ("shop", ServiceCoverage())
    (tmp_path / "pyproject.toml").write_text('[tool.lychgate.coverage]\nemitters = ["a.b"]\n')
    assert targets([tmp_path / "shop"], [], NONE, tmp_path)[0].own.emitters == ("a.b",)
    (tmp_path / "shop/coverage.toml").write_text('emitters = ["c.d"]\nverbs = ["nudge"]\n')
    own = targets([tmp_path / "shop"], [], NONE, tmp_path)[0].own
    assert (own.emitters, own.verbs) == (("c.d",), frozenset({"nudge"}))


def test_a_file_may_speak_of_several_services(tmp_path: Path) -> None:
    """Each with its paths; what is in none of them is not lost."""
    (tmp_path / "coverage.toml").write_text('[services.a]\npaths = ["a.py"]\n[services.b]\npaths = ["b"]\n')
    (tmp_path / "a.py").write_text("")
    (tmp_path / "b").mkdir()
    found = targets([tmp_path], [], NONE, tmp_path)
    assert [(it.name, it.rest) for it in found] == [("a", False), ("b", False), (tmp_path.name, True)]
    assert found[2].told.exclude == ("a.py", "b", "b/*")


def test_without_a_path_the_configured_services_are_scanned(tmp_path: Path) -> None:
    """`coverage.services` of lychgate.yaml; `--service` names others."""
    (tmp_path / "src").mkdir()
    settings = CoverageSettings(services={"shop": ServiceCoverage(paths=(Path("src"),), emitters=("x",))})
    (found,) = targets([], [], settings, tmp_path)
    assert (found.name, found.paths, found.own.emitters) == ("shop", (tmp_path / "src",), ("x",))
    (found,) = targets([], [f"other={tmp_path / 'src'}"], settings, tmp_path)
    assert (found.name, found.own.emitters) == ("other", ())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("emiters = []\n", r"coverage\.toml: emiters: there is no such key"),
        ('emitters = ["a b"]\n', r"coverage\.toml: emitters\.0: "),
        ("fail_under = 90\n", r"coverage\.toml: fail_under: "),
        ("emitters = [\n", r"coverage\.toml: cannot be read"),
        ("[services.a]\nwriter = []\n", r"coverage\.toml: services\.a\.writer: there is no such key"),
        ('[services.a]\npaths = ["nowhere"]\n', "nowhere: there is no such file or folder"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, reason: str) -> None:
    """With the key and why."""
    (tmp_path / "coverage.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=reason):
        targets([tmp_path], [], NONE, tmp_path)


@pytest.mark.parametrize(
    ("paths", "named", "reason"),
    [
        (["nowhere"], [], "there is no such"),
        ([], ["shop"], "is not NAME=PATH"),
        ([], ["=x"], "is not NAME=PATH"),
        ([], [], "nothing to scan"),
    ],
)
def test_a_wrong_argument_is_named(tmp_path: Path, paths: list[str], named: list[str], reason: str) -> None:
    """Nothing is scanned."""
    with pytest.raises(ConfigurationError, match=reason):
        targets([Path(path) for path in paths], named, NONE, tmp_path)


def test_a_name_stands_once(tmp_path: Path) -> None:
    """Two services of one name would hide each other in the metric."""
    with pytest.raises(ConfigurationError, match="two services are named `a`"):
        targets([], [f"a={tmp_path}", f"a={tmp_path}"], NONE, tmp_path)


def test_what_the_gate_says_of_a_service_comes_before_what_its_tree_says(tmp_path: Path) -> None:
    """Whoever changes the code can change the file beside it, for one service and for several."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/app.py").touch()
    settings = CoverageSettings(services={"shop": ServiceCoverage(fail_under=0.9), "desk": ServiceCoverage()})
    (tmp_path / "shop/coverage.toml").write_text('fail_under = 0.1\nexclude = ["*.py"]\n')
    (one,) = targets([tmp_path / "shop"], [], settings, tmp_path)
    assert (one.told.fail_under, one.told.exclude) == (0.9, ())
    (tmp_path / "shop/coverage.toml").write_text('[services.desk]\npaths = ["app.py"]\nexclude = ["*.py"]\n')
    desk, _ = targets([tmp_path / "shop"], [], settings, tmp_path)
    assert (desk.name, desk.told.exclude, [it.name for it in desk.paths]) == ("desk", (), ["app.py"])
