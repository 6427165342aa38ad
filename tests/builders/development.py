"""The development issuer at a fixed time, and a gateway that trusts it."""

import json
from datetime import UTC, datetime

from gateway.identify.bearer import identify
from gateway.identify.keyring import Keyring
from gateway.model import Identity
from gateway.sources import IssuerKeys, IssuerSource
from lychgate.tokens import ALGORITHM, AUDIENCE, ISS, NAME, DevelopmentIssuer
from tests.builders.tokens import NOW, catalogue


def clock() -> datetime:
    """The time at which everything here happens."""
    return datetime.fromtimestamp(NOW, UTC)


def identified(token: str, issuer: DevelopmentIssuer, now: float = NOW) -> Identity:
    """What a gateway that trusts this issuer makes of a token."""
    source = IssuerSource(name=NAME, iss=ISS, audiences=(AUDIENCE,), algorithms=(ALGORITHM,))
    ring = Keyring.build([source], [IssuerKeys(NAME, json.dumps(issuer.jwks()))])
    return identify(b"Bearer " + token.encode(), ring, catalogue(), now)
