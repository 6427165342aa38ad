"""Values as people write them in, values as Cedar's JSON has them out. Pure.

Used wherever attributes come from outside: described requests, entity files, the decision API.
"""

from collections.abc import Mapping
from typing import Final

from policies.model import Json
from policies.schema_reader import ContextAttribute

_EXTENSIONS: Final = {"datetime": "datetime", "decimal": "decimal", "duration": "duration", "ipaddr": "ip"}


def typed(value: Json, kind: str) -> Json:
    """A value as Cedar's JSON has it: what people write as text may be a time or an address.

    Args:
        value: As written.
        kind: The type that the schema declares, as in `ContextAttribute.type`.

    Returns:
        The value with its constructor. Cedar would put it there itself, but the memo takes text that no policy reads
        for valid as it stands, and a time need not be.
    """
    function = _EXTENSIONS.get(kind)
    return {"__extn": {"fn": function, "arg": value}} if function and isinstance(value, str) else value


def declared(values: Mapping[str, Json], attributes: Mapping[str, ContextAttribute]) -> dict[str, Json]:
    """Those of the values that the schema knows, typed; the others are left out, because Cedar refuses them."""
    return {name: typed(value, attributes[name].type) for name, value in values.items() if name in attributes}
