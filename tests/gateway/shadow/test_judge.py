"""What a candidate makes of records."""

from audit.codec import encode
from audit.event import Redaction
from gateway.shadow.judge import ShadowJudge
from gateway.shadow.messages import Divergence, Judged, Load
from gateway.sources import SourceFile
from policies.load import read_folder
from tests.builders.questions import ROOT, real_bundle, real_catalogue
from tests.builders.recorded import decided, event_id

FILES, SCHEMA = read_folder(ROOT / "policies")


def load(before: str = "", after: str = "", *, strict: bool = False, more: str = "") -> Load:
    """The real policies, changed."""
    files = [SourceFile(name, text.replace(before, after) if before else text) for name, text in FILES]
    if more:
        files.append(SourceFile("more.cedar", more))
    schema = SourceFile(*SCHEMA)
    return Load(tuple(files), schema, schema, real_catalogue().names, strict)


def test_the_same_set_agrees() -> None:
    """It has the live version, and no record diverges; what is no decision is passed over."""
    judge = ShadowJudge()
    loaded = judge.load(load())
    assert (loaded.version, loaded.problem) == (real_bundle().version, "")
    assert "order:list" in loaded.actions
    records = [encode(decided(role, "order:list")) for role in real_catalogue().names]
    assert judge.judge([*records, b"nonsense"]) == Judged(same=len(records))


def test_divergences_have_both_answers() -> None:
    """Denied, allowed, and for other reasons; what cannot be decided is counted."""
    judge = ShadowJudge()
    judge.load(load('Role::"Support", ', ""))
    lost = decided("Support", "order:list", input=None, redaction=Redaction("enforce", truncated=True))
    judged = judge.judge([encode(decided("Support", "order:list")), encode(lost)])
    assert judged.undecidable == {"truncated": 1}
    assert judged.diverged == (
        Divergence(
            event_id(0), "acme", "order:list", "newly_denied",
            "allow", ("order.read",), real_bundle().version, "deny", (),
        ),
    )  # fmt: skip
    judge.load(load('@id("read")\n@reason("the till', '@id("look")\n@reason("the till'))
    (found,) = judge.judge([encode(decided("Support", "order:list"))]).diverged
    assert (found.kind, found.live_reasons, found.shadow_reasons) == ("reasons", ("order.read",), ("order.look",))


def test_strict_is_the_live_policies() -> None:
    """A permit that cannot be evaluated denies where the gateway is strict."""
    more = (
        '@id("odd") @reason("r") permit (principal, action == Action::"order:discount", resource)'
        " when { context.percent * 9223372036854775807 > 3 };"
    )
    record = encode(decided("Cashier", "order:discount", context={"percent": 5}))
    judge = ShadowJudge()
    judge.load(load(more=more))
    assert judge.judge([record]).diverged == ()
    judge.load(load(more=more, strict=True))
    assert [found.kind for found in judge.judge([record]).diverged] == ["newly_denied"]


def test_a_set_that_cannot_be_used_decides_nothing() -> None:
    """With the place of what is wrong; the one before does not stay, or its answers would be taken for the new's."""
    judge = ShadowJudge()
    record = encode(decided("Support", "order:list"))
    assert judge.judge([record]) == Judged()
    judge.load(load())
    endless = " && ".join(["true"] * 5_000)
    for broken, problem in (
        (load(more=f'@id("x") @reason("r") permit (principal, action, resource) when {{ {endless} }};'), "200 deep"),
        (load("permit (", "premit ("), "order.cedar:"),
        (load('Role::"Support", ', 'Role::"Suport", '), "order.cedar:6: `Suport` is not a role of the catalogue"),
    ):
        loaded = judge.load(broken)
        assert loaded.version == ""
        assert problem in loaded.problem
        assert judge.judge([record]) == Judged()
