"""`lychgate policy fmt`, from the outside."""

from pathlib import Path

from click.testing import Result
from typer.testing import CliRunner

from lychgate import cli
from lychgate.commands.report import ExitCode

UNTIDY = "permit(principal,action,resource)when{true}; // x\n"
TIDY = "permit (principal, action, resource)\nwhen { true }; // x\n"


def fmt(*words: str | Path, given: str | bytes | None = None) -> Result:
    """Run the command."""
    return CliRunner().invoke(cli.app, ["policy", "fmt", *map(str, words)], input=given)


def folder_with(tmp_path: Path, text: str) -> Path:
    """A file of policies, in a folder with a schema."""
    (tmp_path / "schema.cedarschema").write_text("entity   User;")
    file = tmp_path / "a.cedar"
    file.write_text(text)
    return file


def test_a_file_is_laid_out(tmp_path: Path) -> None:
    """Once; the schema is left alone."""
    file = folder_with(tmp_path, UNTIDY)
    done = fmt(tmp_path)
    assert (done.exit_code, done.output) == (0, f"{file}: laid out\n")
    assert file.read_text() == TIDY
    assert (tmp_path / "schema.cedarschema").read_text() == "entity   User;"
    again = fmt(tmp_path)
    assert (again.exit_code, again.output) == (0, "1 files are in order\n")


def test_a_check_changes_nothing(tmp_path: Path) -> None:
    """It says what would, and with `--diff` how."""
    file = folder_with(tmp_path, UNTIDY)
    done = fmt(file, "--check")
    assert (done.exit_code, done.output) == (1, f"{file}: would be laid out\n")
    diff = fmt(file, "--diff")
    assert diff.exit_code == 1
    assert f"--- {file}\n+++ {file}\n" in diff.output
    assert (
        "\n-permit(principal,action,resource)when{true}; // x\n+permit (principal, action, resource)\n" in diff.output
    )
    assert file.read_text() == UNTIDY
    file.write_text(TIDY)
    assert fmt(file, "--check", "--diff").exit_code == 0


def test_a_file_that_cedar_cannot_read_stays(tmp_path: Path) -> None:
    """It is named with the place; the others are laid out all the same."""
    file = folder_with(tmp_path, UNTIDY)
    broken = tmp_path / "b.cedar"
    broken.write_text("permit(principal,,resource);")
    done = fmt(tmp_path)
    assert done.exit_code == 1
    assert f"{broken}:1:18: unexpected token `,`\n" in done.output
    assert (file.read_text(), broken.read_text()) == (TIDY, "permit(principal,,resource);")


def test_a_file_that_cannot_be_read_is_usage(tmp_path: Path) -> None:
    """Exit code 2, and nothing has been changed."""
    file = folder_with(tmp_path, UNTIDY)
    done = fmt(file, tmp_path / "nope.cedar")
    assert getattr(done.exception, "exit_code", None) == ExitCode.USAGE
    assert str(done.exception) == f"{tmp_path / 'nope.cedar'}: there is no such file"
    (tmp_path / "b.cedar").write_bytes(b"\xff")
    done = fmt(tmp_path)
    assert str(done.exception) == f"{tmp_path / 'b.cedar'}: not UTF-8"
    assert file.read_text() == UNTIDY


def test_from_standard_input() -> None:
    """To standard output; checks as well."""
    assert fmt("--stdin", given=UNTIDY).output == TIDY
    assert fmt("--stdin", "--check", given=TIDY).exit_code == 0
    checked = fmt("--stdin", "--check", given=UNTIDY)
    assert (checked.exit_code, checked.output) == (1, "<stdin>: would be laid out\n")
    assert "+permit (principal" in fmt("--stdin", "--diff", given=UNTIDY).output
    broken = fmt("--stdin", given="permit(")
    assert (broken.exit_code, broken.output) == (1, "<stdin>:1:7: unexpected end of input\n")
    assert str(fmt("--stdin", given=b"\xff").exception) == "standard input: not UTF-8"
    assert str(fmt("--stdin", "x", given="").exception) == "--stdin takes no paths"


def test_a_last_line_without_an_end_is_shown(tmp_path: Path) -> None:
    """As diffs do."""
    file = folder_with(tmp_path, TIDY.rstrip("\n"))
    assert "\\ no line end\n" in fmt(file, "--diff").output


def test_the_repository_is_laid_out() -> None:
    """As `make check` asks."""
    assert fmt("--check", Path(__file__).parents[4] / "policies").exit_code == 0
