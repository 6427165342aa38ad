"""The section `coverage` of `lychgate.yaml`, and the same for a service in a file beside it."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints


def _is_a_name(text: str) -> str:
    """One that names something: `*` alone would make an emitter of every call, and every handler covered."""
    if not any(char.isalpha() for char in text.rpartition(".")[2]):
        raise ValueError("the last part names nothing: `*` alone would be every call there is")
    return text


Name = Annotated[
    str,
    StringConstraints(pattern=r"^[\w*?\[\]-]+(?:\.[\w*?\[\]-]+)*$", max_length=200),
    AfterValidator(_is_a_name),
]
"""A name as it is written in code, dotted, perhaps with `*`."""
Word = Annotated[str, StringConstraints(pattern=r"^[a-z]+$", max_length=40)]
Ratio = Annotated[float, Field(ge=0, le=1)]


class ServiceCoverage(BaseModel):
    """What the scanner is told of one service."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    paths: tuple[Path, ...] = Field((), description="Files and folders of its code, from the file that says so.")
    emitters: tuple[Name, ...] = Field(
        (), description="Functions, contexts and decorators of its own that record an event: `trail.record`."
    )
    writers: tuple[Name, ...] = Field((), description="Functions of its own that change something.")
    readers: tuple[Name, ...] = Field((), description="Functions that look like writers and are none.")
    verbs: tuple[Word, ...] = Field((), description="More first words of names of handlers that change something.")
    exclude: tuple[str, ...] = Field((), description="Files that are not looked at, as shell patterns.")
    fail_under: Ratio | None = Field(None, description="The least ratio of this service, 0 to 1.")


class CoverageSettings(BaseModel):
    """Which services are scanned for changes that nobody would know of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fail_under: Ratio = Field(1.0, description="The least ratio of covered handlers, 0 to 1, of each service and all.")
    services: dict[str, ServiceCoverage] = Field({}, description="Name to what is said of it.")
