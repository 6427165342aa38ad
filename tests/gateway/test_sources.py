"""What a snapshot is built from crosses a pipe whole, is told apart by its version, and never shows its keys."""

from typing import Any

import msgspec
import pytest

from gateway.sources import (
    BreakerSource,
    ContextSource,
    CorsSource,
    FrontTls,
    IssuerKeys,
    IssuerSource,
    ServiceLimits,
    ServiceSource,
    SourceFile,
    Sources,
    TlsSource,
)

SOURCES = Sources(
    policies=(SourceFile("a.cedar", "x"),),
    schema=SourceFile("schema.cedarschema", "s"),
    roles=SourceFile("roles.toml", "r"),
    routes=SourceFile("routes.toml", "t"),
    issuers=(IssuerSource(name="dev", iss="https://id", audiences=("lychgate",), algorithms=("ES256",)),),
    keys=(IssuerKeys("dev", '{"keys":[]}'),),
    services=(
        ServiceSource(
            name="order",
            addresses=("127.0.0.1:9002",),
            cors=CorsSource(origins=("https://a.example",), credentials=True),
        ),
        ServiceSource(name="payment", addresses=("a:1", "b:1"), tls=TlsSource(cert="c", key="hunter4")),
    ),
    context=ContextSource(issuer="lychgate", private_jwk='{"d":"hunter2"}', hs256_keys={"order": '{"k":"hunter3"}'}),
    tls=FrontTls(certificate="public", private_key="hunter4", client_ca="roots", client_certificates="optional"),
)


@pytest.mark.parametrize(
    "changes",
    [
        {"policies": (SourceFile("a.cedar", "y"),)},
        {"policies": (SourceFile("b.cedar", "x"),)},
        {"policies": ()},
        {"schema": SourceFile("schema.cedarschema", "S")},
        {"roles": SourceFile("roles.toml", "R")},
        {"routes": SourceFile("routes.toml", "T")},
        {"issuers": ()},
        {"keys": (IssuerKeys("dev", '{"keys":[1]}'),)},
        {"services": (ServiceSource(name="order", addresses=("127.0.0.1:9003",)),)},
        {"services": (SOURCES.services[0], msgspec.structs.replace(SOURCES.services[1], tls=TlsSource(key="other")))},
        {
            "services": (
                SOURCES.services[0],
                msgspec.structs.replace(SOURCES.services[1], breaker=BreakerSource(open_s=1)),
            )
        },
        {
            "services": (
                SOURCES.services[0],
                msgspec.structs.replace(SOURCES.services[1], limits=ServiceLimits(total_s=1)),
            )
        },
        {"context": ContextSource(issuer="other")},
        {"context": msgspec.structs.replace(SOURCES.context, private_jwk='{"d":"another"}')},
        {"context": msgspec.structs.replace(SOURCES.context, ttl_s=5)},
        {"cross_tenant": True},
        {"strict": True},
        {"redacted_fields": "remove"},
        {"services": (msgspec.structs.replace(SOURCES.services[0], cors=CorsSource(origins=("https://b.example",))),)},
        {"tls": None},
        {"tls": FrontTls(certificate="renewed", private_key="hunter4")},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_the_version_changes_with_any_source(changes: dict[str, Any]) -> None:
    """16 hex digits, the same for the same."""
    assert len(SOURCES.version) == 16
    assert int(SOURCES.version, 16) >= 0
    assert msgspec.structs.replace(SOURCES).version == SOURCES.version
    assert msgspec.structs.replace(SOURCES, **changes).version != SOURCES.version


def test_sources_cross_a_pipe() -> None:
    """Bytes and back, and nothing is different."""
    raw = msgspec.msgpack.encode(SOURCES)
    assert msgspec.msgpack.decode(raw, type=Sources) == SOURCES


def test_no_key_is_in_a_repr() -> None:
    """A repr ends up in logs."""
    for text in (repr(SOURCES), str(SOURCES.context), f"{SOURCES.context!r}"):
        assert "hunter" not in text
    assert "lychgate" in repr(SOURCES.context)


def test_a_service_has_the_url_of_its_first_instance() -> None:
    """With the scheme it is spoken to by."""
    assert [service.url for service in SOURCES.services] == ["http://127.0.0.1:9002", "https://a:1"]
