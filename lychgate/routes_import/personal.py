"""Fields of answers that look as if not everybody may see them, by the names and formats of a schema. Pure.

A name is a hint, not knowledge: what is found is written as `redact` and asked about, what is not found is not thereby
harmless. Secrets are known by the same names as everywhere else (`audit.redact`).
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from audit.redact.names import KeyNames, plain
from gateway.model import DataClass
from lychgate.routes_import.document import Document

_PII_PARTS: Final = (
    "email", "phone", "mobile", "firstname", "lastname", "fullname", "givenname", "familyname", "surname", "maidenname",
    "birth", "passport", "nationalid", "taxid", "socialsecurity", "postcode", "postalcode", "zipcode", "streetaddress",
    "addressline", "homeaddress", "ipaddress", "personalnumber",
)  # fmt: skip
_PII_WORDS: Final = frozenset(
    {"ssn", "dob", "address", "street", "fax", "telephone", "gender", "latitude", "longitude"}
)
_PAYMENT_PARTS: Final = (
    "cardnumber",
    "cardlast",
    "creditcard",
    "debitcard",
    "accountnumber",
    "routingnumber",
    "sortcode",
)
_PAYMENT_WORDS: Final = frozenset({"pan", "iban", "bic", "cvv", "cvc", "cvv2", "cvc2", "card", "last4"})
_FORMATS: Final = {
    "email": DataClass.PII,
    "idn-email": DataClass.PII,
    "password": DataClass.SECRET,
}
_SECRETS: Final = KeyNames()
_UNSUITABLE: Final = re.compile(r"|\*|[0-9]+")
"""Names that a pointer of a route cannot say: nothing, any, and what looks like a place in a list."""
_MAX_DEPTH: Final = 12
_MAX_NODES: Final = 20_000
_ALTERNATIVES: Final = ("allOf", "oneOf", "anyOf")


class Seen:
    """What the schemas of one endpoint's answers show.

    Attributes:
        fields: Pointers by class, sorted.
        unsayable: Fields that look sensitive and that no pointer can name.
        partly: Whether something could not be looked at: no schema, or one too large or too deep.
    """

    def __init__(self, document: Document) -> None:
        self._document = document
        self._found: dict[DataClass, set[str]] = {}
        self._nodes = 0
        self.unsayable: list[str] = []
        self.partly = False

    @property
    def fields(self) -> dict[str, tuple[str, ...]]:
        """Pointers by class."""
        return {it.value: tuple(sorted(self._found[it])) for it in DataClass if it in self._found}

    def look(self, schema: Any) -> None:
        """Look at one answer's schema."""
        self._walk(schema, (), (), 0)

    def _walk(self, written: Any, path: tuple[str, ...], open_refs: tuple[str, ...], depth: int) -> None:
        self._nodes += 1
        ref = written.get("$ref") if isinstance(written, dict) else None
        if isinstance(ref, str):
            if ref in open_refs:  # a tree of its own kind: what is in it has been seen one level up, not further down
                self.partly = True
                return
            open_refs = (*open_refs, ref)
        schema = self._document.resolve(written)
        if schema is False:
            return
        if not isinstance(schema, dict) or depth > _MAX_DEPTH or self._nodes > _MAX_NODES:
            self.partly = True
            return
        inner = list(_below(schema))
        kinds = schema.get("type")
        if not inner and (kinds in (None, "object", "array")) and not {"enum", "const"} & schema.keys():
            self.partly = True
        for name, value in inner:
            if name is None:
                self._walk(value, path, open_refs, depth + 1)
                continue
            here = (*path, name)
            self._judge(here, self._document.resolve(value))
            self._walk(value, here, open_refs, depth + 1)

    def _judge(self, path: tuple[str, ...], schema: Any) -> None:
        data_class = class_of(path[-1], *_formats(self._document, schema))
        if data_class is None:
            return
        pointer = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)
        if any(_UNSUITABLE.fullmatch(part) for part in path if part != ANY) or set(path) == {ANY}:
            self.unsayable.append(pointer)
        else:
            self._found.setdefault(data_class, set()).add(pointer)


ANY: Final = "*"
"""Any member and any element, in a route's pointers (`gateway.route.sensitive`)."""


def class_of(name: str, *formats: str) -> DataClass | None:
    """The class a field of this name and these formats seems to have."""
    for form in formats:
        if form in _FORMATS:
            return _FORMATS[form]
    word = plain(name)
    if word in _PAYMENT_WORDS or any(part in word for part in _PAYMENT_PARTS):
        return DataClass.PAYMENT
    if word in _PII_WORDS or any(part in word for part in _PII_PARTS):
        return DataClass.PII
    return DataClass.SECRET if _SECRETS.denied(name) else None


def _formats(document: Document, schema: Any) -> Iterator[str]:
    """The formats of a value, one alternative down: what may be null is written as an alternative."""
    if not isinstance(schema, dict):
        return
    for each in (schema, *(document.resolve(it) for word in _ALTERNATIVES for it in _listed(schema.get(word)))):
        if isinstance(each, dict) and isinstance(form := each.get("format"), str):
            yield form


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _below(schema: dict[str, Any]) -> Iterator[tuple[str | None, Any]]:
    """Every schema in a schema, with the name it stands under; None where it is about the same value."""
    properties = schema.get("properties")
    if isinstance(properties, dict):
        yield from properties.items()
    if isinstance(items := schema.get("items"), dict | bool):
        yield ANY, items
    yield from ((ANY, each) for each in _listed(schema.get("prefixItems")))
    if isinstance(extra := schema.get("additionalProperties"), dict) and extra:
        yield ANY, extra
    if isinstance(patterns := schema.get("patternProperties"), dict):
        yield from ((ANY, each) for each in patterns.values())
    for word in _ALTERNATIVES:
        yield from ((None, each) for each in _listed(schema.get(word)))
