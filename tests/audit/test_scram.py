"""Tests of `audit.scram`."""

import base64

import pytest

from audit.scram import verifier


def test_the_verifier_of_the_rfc() -> None:
    """The keys of RFC 7677 section 3 (user `user`, password `pencil`) come out."""
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    assert verifier("pencil", salt) == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
        "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )


@pytest.mark.parametrize("password", ["", "naïve", "tab\there"])
def test_passwords_that_would_need_saslprep_are_refused(password: str) -> None:
    """Empty, non-ASCII and control characters are refused instead of being prepared wrongly."""
    with pytest.raises(ValueError, match="printable ASCII"):
        verifier(password, b"0" * 16)
