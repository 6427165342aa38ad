"""A request for the whole answer in plain."""

from gateway.forward.whole import whole_and_plain
from tests.builders.heads import make_head


def test_codings_ranges_conditions_and_digests_are_not_asked_for() -> None:
    """In any spelling and however often; `identity` is; everything else stays in its order."""
    kept = ((b"accept", b"application/json"), (b"if", b"(<x>)"), (b"x-range", b"1"))
    gone = [b"accept-encoding", b"accept_encoding", b"range", b"if-range", b"if-none-match", b"if-match", b"a-im"]
    head = make_head(kept[0], *((name, b"x") for name in gone), (b"range", b"y"), *kept[1:])
    assert whole_and_plain(head).headers == (*kept, (b"accept-encoding", b"identity"))
    assert head.get(b"range") == b"x"
