"""`audit.registry.load`: what a registry file may say, and what is said of one that does not."""

import pytest

from audit.registry.errors import RegistryInvalid
from audit.registry.load import joined, packaged, read
from audit.settings.redaction import RedactionSettings

HEAD = "format = 1\n"
TYPE = '[types."shop.basket.opened"]\nsince = "1.0.0"\nsays = "A basket was opened."\n'


def field(entry: str, name: str = "why") -> str:
    """A registry whose one type has this field."""
    return f'{HEAD}{TYPE}[types."shop.basket.opened".details]\n{name} = {{ {entry}, says = "x" }}\n'


def test_our_own_registry_is_one() -> None:
    """Every type with its place."""
    registry = packaged()
    assert len(registry.types) >= 54
    file, line = registry.places["order.order.cancelled"]
    assert file.endswith("event_types.toml")
    assert line > 1


@pytest.mark.parametrize(
    ("text", "reason", "line"),
    [
        ("format = \n", "not TOML", 1),
        ("types = 3\n", "Expected `object`", 0),
        (HEAD.replace("1", "2") + TYPE, "format 2 is not known", 0),
        (HEAD + TYPE.replace("since", "sinse"), "unknown field `sinse`", 2),
        (HEAD + TYPE + 'kind = "domestic"\n', "Invalid enum value 'domestic'", 2),
        (HEAD + TYPE + 'severity = ["loud"]\n', "Invalid enum value 'loud'", 2),
        (HEAD + TYPE.replace("opened", "open"), "`open` is no past fact", 2),
        (HEAD + TYPE.replace("shop.", ""), "not of the form `service.subject.past_fact`", 2),
        (HEAD + TYPE.replace("A basket was opened.", " "), "says nothing", 2),
        (HEAD + TYPE.replace("1.0.0", "one"), "are releases", 2),
        (HEAD + TYPE + 'crud = ["w"]\n', "crud is of", 2),
        (HEAD + TYPE + "severity = []\nfailure = []\n", "no severity", 2),
        (HEAD + TYPE + "phases = []\n", "phases is empty", 2),
        (HEAD + TYPE + 'odd_name = " "\n', "odd_name needs the reason", 2),
        (HEAD + TYPE + 'class = "lower"\n', "is no name of a class", 2),
        (HEAD + TYPE.replace("shop.basket.opened", "Shop opened") + 'odd_name = "x"\n', "a name has small letters", 2),
        (HEAD + TYPE + '[types."shop.basket.opened".changes]\npassword = "pii"\n', "changes name a secret", 2),
        (field('type = "text", max_length = 1'), "Invalid enum value 'text'", 2),
        (field('type = "string"'), "how long may it be", 2),
        (field('type = "string", enum = ["long"], max_length = 3'), "is longer than `max_length`", 2),
        (field('type = "list"'), "`of` says", 2),
        (field('type = "integer", of = "string"'), "`of` says", 2),
        (field('type = "list", of = "object"'), "is not flat", 2),
        (field('type = "range"'), "a range stands in a list only", 2),
        (field('type = "integer", max_length = 3'), "are of texts", 2),
        (field('type = "string", max_length = 0'), "a bound below 1", 2),
        (field('type = "string", max_length = 3, minimum = 1'), "are of a number", 2),
        (field('type = "integer", minimum = 3, maximum = 1'), "above the maximum", 2),
        (field('type = "string", max_length = 3, max_items = 3'), "`max_items` is of a list", 2),
        (field('type = "string", enum = ["a", "a"]'), "a word stands twice", 2),
        (field('type = "string", max_length = 3, open = true'), "`open` is of an `enum`", 2),
        (field('type = "string", max_length = 3', "apiKey"), "a name has small letters", 2),
        (field('type = "string", max_length = 3', "api_key"), "the name of a secret", 2),
        (HEAD + "x = " + "[" * 3000, "", 0),
    ],
)
def test_what_is_no_registry_is_refused_with_its_place(text: str, reason: str, line: int) -> None:
    """File, line of the entry, and the reason."""
    with pytest.raises(RegistryInvalid) as caught:
        read(text, "events.toml")
    assert reason in caught.value.reason
    assert (caught.value.file, caught.value.line) == ("events.toml", line)


def test_a_field_is_not_common_and_its_types_own() -> None:
    """Or nobody knew which of the two holds."""
    with pytest.raises(RegistryInvalid, match="`code` is a field of every domain event already"):
        read(field('type = "string", max_length = 3', "code"), "events.toml", packaged().common)


def test_registries_are_joined_and_a_type_stands_in_one() -> None:
    """Each keeps its places; a type that stands in two is refused."""
    other = read(HEAD + TYPE, "a.toml", packaged().common)
    both = joined([packaged(), other])
    assert both.places["shop.basket.opened"] == ("a.toml", 2)
    assert "order.order.created" in both.types
    with pytest.raises(RegistryInvalid, match=r"b\.toml: `shop\.basket\.opened` is registered in a\.toml already"):
        joined([other, read(HEAD + TYPE, "b.toml")])


def test_personal_data_is_masked_by_the_default_configuration() -> None:
    """A class in the registry is a path under `audit.redaction.paths`, or no view would know of it."""
    paths = RedactionSettings().paths
    missing = [
        f"{name}: {path} ({data_class})"
        for name, entry in packaged().types.items()
        for path, data_class in [
            *((f"changes.{step}", data_class) for step, data_class in entry.changes.items()),
            *((f"details.{key}", field.data_class) for key, field in entry.details.items() if field.data_class),
        ]
        if path not in paths[data_class]
    ]
    assert missing == []
