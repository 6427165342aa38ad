"""`lychgate.event_lint.run`: over several files, and over our own tree."""

from pathlib import Path

import msgspec

from audit.event import Kind, Severity
from audit.registry.load import packaged
from audit.registry.model import Registry
from lychgate.event_lint.run import lint
from tests.builders.event_cases import registry

ROOT = Path(__file__).parents[3]


def tree(folder: Path, **files: str) -> Path:
    """A package of these modules."""
    package = folder / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("")
    for name, text in files.items():
        (package / f"{name}.py").write_text(text)
    return package


def found(folder: Path, **more: object) -> list[str]:
    """What is found, by module, line, column and rule."""
    return [
        f"{Path(each.file).stem}:{each.line}:{each.column} {each.code}"
        for each in lint([folder], registry(), **more)  # type: ignore[arg-type]
    ]


def test_a_constant_of_another_module_is_followed(tmp_path: Path) -> None:
    """Imported by name, as a module, through a third, and relatively."""
    names = 'OPENED = "shop.basket.opened"\nGONE = "shop.basket.gone"\n'
    emit = 'audit.emit({}, tenant_id=t, actor=a, action="shop:open")\n'
    package = tree(
        tmp_path,
        names=names,
        through="from shop.names import GONE\n",
        one="from shop.names import GONE, OPENED\n" + emit.format("OPENED") + emit.format("GONE"),
        two="from shop import names\nimport shop.names as told\n"
        + emit.format("names.OPENED")
        + emit.format("told.GONE"),
        three="from .through import GONE\n" + emit.format("GONE"),
    )
    assert found(package) == ["one:3:1 unknown-event", "three:2:1 unknown-event", "two:4:1 unknown-event"]


def test_a_function_of_another_module_is_followed(tmp_path: Path) -> None:
    """Its callers answer for what they hand over, at their own place."""
    package = tree(
        tmp_path,
        tell="def tell(name, why):\n"
        '    audit.emit(name, tenant_id=t, actor=a, action="shop:drop", details={"reason": why})\n',
        use="from shop.tell import tell\n"
        'tell("shop.basket.dropped", "late")\ntell("shop.basket.dropped", 7)\ntell("shop.basket.gone", "x")\n',
        other='def tell(name, why): ...\ntell("clicked", 7)\n',
    )
    assert found(package) == ["use:3:29 field-type", "use:4:1 unknown-event"]


def test_a_private_method_is_its_modules_own(tmp_path: Path) -> None:
    """One of the same name and parameters in another module is another's."""
    tell = 'class A:\n    def _tell(self, name):\n        audit.emit(name, tenant_id=t, actor=a, action="shop:open")\n'
    package = tree(
        tmp_path,
        one=tell + 'def f(a):\n    a._tell("shop.basket.opened")\n',
        two='def f(other):\n    other._tell("shop.basket.gone")\n',
    )
    assert found(package) == []


def test_columns_count_characters(tmp_path: Path) -> None:
    """As editors do, where Python counts bytes."""
    text = 'x = "äöü"; audit.emit("shop.basket.gone", tenant_id=t, actor=a, action="shop:open")\n'
    assert found(tree(tmp_path, one=text)) == ["one:1:12 unknown-event"]


def test_functions_of_ones_own_are_named_in_the_configuration(tmp_path: Path) -> None:
    """Their first argument is an event's type, wherever they are defined."""
    text = 'from elsewhere import note\nnote("shop.basket.gone", 1)\n'
    package = tree(tmp_path, one=text)
    assert found(package) == []
    assert found(package, ways=("note",)) == ["one:2:1 unknown-event"]


def test_secrets_of_ones_own_are_named_in_the_configuration(tmp_path: Path) -> None:
    """Besides the built-in ones."""
    text = 'audit.emit("shop.member.joined", tenant_id=t, kind=Kind.ADMIN, details={"tier": x.loyalty_seed})\n'
    package = tree(tmp_path, one=text)
    assert found(package) == []
    assert found(package, secrets=("loyalty_seed",)) == ["one:1:81 secret-value"]


def test_what_nobody_emits_is_found_where_it_is_registered(tmp_path: Path) -> None:
    """Only where the paths are all there is; a retired type is not missed."""
    text = "\n".join(
        f'audit.emit("{name}", tenant_id=t, actor=a, action=x, **more)'
        for name in registry().types
        if name not in {"shop.basket.seized", "shop.basket.merged"}
    )
    findings = lint([tree(tmp_path, one=text)], registry(), complete=True)
    [idle] = [each for each in findings if each.code == "never-emitted"]
    assert (idle.file, idle.line) == registry().places["shop.basket.seized"]


def test_our_own_tree_is_clean() -> None:
    """Every emit of ours is as registered, everything registered is emitted: what `make check` runs."""
    packages = ("audit", "gateway", "lychgate", "policies", "query", "roles", "services")
    assert lint([ROOT / name for name in packages], packaged(), complete=True) == []


def test_our_own_tree_is_not_clean_for_nothing() -> None:
    """Without a type, its emits are found; with another severity, kind or field, too."""
    known = packaged()
    types = dict(known.types)
    del types["audit.loss"]
    types["audit.late"] = msgspec.structs.replace(types["audit.late"], severity=(Severity.NOTICE,))
    types["audit.log.read"] = msgspec.structs.replace(types["audit.log.read"], kind=Kind.SYSTEM)
    details = {name: field for name, field in types["audit.sink.skipped"].details.items() if name != "until"}
    types["audit.sink.skipped"] = msgspec.structs.replace(types["audit.sink.skipped"], details=details)
    less = Registry(types=types, common=known.common, places=known.places)
    found = {(Path(each.file).name, each.code) for each in lint([ROOT / "audit", ROOT / "query"], less)}
    assert found >= {
        ("adopt.py", "event-name"),
        ("retire.py", "event-name"),
        ("late.py", "wrong-severity"),
        ("record.py", "wrong-envelope"),
    }
