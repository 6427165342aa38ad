"""The section `samples`."""

import pytest
from pydantic import ValidationError

from services.app import ROUTERS
from services.run import NAMES
from services.settings import MachineSettings, SamplePorts, SamplesSettings


def test_the_ports_are_those_of_the_design() -> None:
    """9001 to 9007, one a service, and every service that can be run has one."""
    assert tuple(SamplePorts().model_dump().items()) == tuple(
        (name, 9001 + number) for number, name in enumerate(ROUTERS)
    )
    assert tuple(ROUTERS) == NAMES


@pytest.mark.parametrize(
    "section",
    [
        {"token_file": "t", "issuer_url": "http://127.0.0.1:8084/token", "role": "r"},
        {"issuer_url": "http://127.0.0.1:8084/token"},
        {"tokens": "t"},
    ],
)
def test_a_machine_token_has_one_source(section: dict[str, str]) -> None:
    """Two sources, half a source or an unknown key are refused when the configuration is read."""
    with pytest.raises(ValidationError):
        MachineSettings.model_validate(section)


def test_an_unknown_service_has_no_port() -> None:
    """A misspelt service is an error, not a port that nobody uses."""
    with pytest.raises(ValidationError):
        SamplesSettings.model_validate({"ports": {"orders": 9002}})
