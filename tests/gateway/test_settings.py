"""The gateway's sections: defaults that are safe, and values that are refused."""

from typing import Any

import msgspec
import pytest
from pydantic import BaseModel, ValidationError

from gateway.control import HopsConfig
from gateway.limits import Limits
from gateway.service_settings import CorsSettings, ServiceSettings, WebSocketSettings, default_services
from gateway.settings import (
    ContextSettings,
    GatewaySettings,
    IssuerSettings,
    LimitsSettings,
    OpsSettings,
    PolicySettings,
    TenancySettings,
    TrustedHopsSettings,
)
from gateway.sources import BreakerSource, ServiceLimits

ISSUER: dict[str, Any] = {
    "name": "dev",
    "iss": "https://id.example",
    "jwks_url": "https://id.example/jwks",
    "audiences": ["lychgate"],
    "tenants": ["acme"],
    "roles": ["*"],
}


def test_limits_are_the_data_planes() -> None:
    """Both lists of limits have the same names and defaults: one is for people, one crosses the pipe."""
    assert LimitsSettings().limits() == Limits()
    assert set(LimitsSettings.model_fields) == {field.name for field in msgspec.structs.fields(Limits)}
    assert LimitsSettings(header_count=50).limits().header_count == 50


def test_only_the_public_port_listens_beyond_loopback() -> None:
    """The operations port is on loopback, tenants are not crossed, and strictness is a choice."""
    assert GatewaySettings().host == "0.0.0.0"  # noqa: S104 - the one port that is meant for everybody
    assert OpsSettings().host == "127.0.0.1"
    assert TenancySettings().cross_tenant is False
    assert PolicySettings().strict is False


def test_an_issuer_becomes_a_source() -> None:
    """What a snapshot needs of an issuer is there, under the same names."""
    source = IssuerSettings(**ISSUER, leeway_s=5).source()
    assert (source.name, source.iss, source.audiences, source.tenants, source.leeway_s) == (
        "dev",
        "https://id.example",
        ("lychgate",),
        ("acme",),
        5,
    )


@pytest.mark.parametrize(
    "change",
    [
        {"jwks_url": None},
        {"jwks_file": "keys.json"},
        {"jwks_url": "http://id.example/jwks"},
        {"jwks_url": "ftp://127.0.0.1/jwks"},
        {"jwks_url": "https:///jwks"},
        {"algorithms": ["none"]},
        {"algorithms": ["HS256"]},
        {"algorithms": []},
        {"audiences": []},
        {"tenants": []},
        {"roles": []},
        {"name": "a/b"},
        {"name": ""},
        {"leeway_s": -1},
        {"leeway_s": 3600},
        {"refresh_s": 0},
        {"trust_everything": True},
    ],
)
def test_an_issuer_that_could_not_be_trusted_is_refused(change: dict[str, Any]) -> None:
    """No keys or two places for them, plain http, shared secrets, nothing to assert, a name that could forge ids."""
    with pytest.raises(ValidationError):
        IssuerSettings(**{**ISSUER, **change})


@pytest.mark.parametrize("url", ["http://127.0.0.1:8084/jwks", "http://localhost:8084/jwks", "http://[::1]:8084/jwks"])
def test_loopback_may_do_without_tls(url: str) -> None:
    """The development issuer is on this machine."""
    assert IssuerSettings(**{**ISSUER, "jwks_url": url}).jwks_url == url


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9001", "http://orders.internal:80/", "http://[::1]:9001", "https://orders:443"]
)
def test_a_service_is_a_host_and_a_port(url: str) -> None:
    """An address is taken from its url, and whether it is spoken to over TLS."""
    settings = ServiceSettings(urls=(url,))
    assert settings.source("order").addresses == (url.partition("://")[2].rstrip("/"),)
    assert settings.over_tls is url.startswith("https")


def test_what_a_service_does_not_say_is_the_gateways_or_the_default() -> None:
    """Its own breaker and bounds otherwise."""
    plain = ServiceSettings(urls=("http://a:1",)).source("order")
    assert (plain.tls, plain.breaker, plain.limits) == (None, BreakerSource(), ServiceLimits())
    own = ServiceSettings(
        urls=("http://a:1", "http://b:1"),
        breaker={"failures": 2, "fault_statuses": []},
        limits={"first_byte_s": 3, "upstream_idle_connections": 0},
    ).source("order")
    assert own.addresses == ("a:1", "b:1")
    assert (own.breaker.failures, own.breaker.fault_statuses, own.breaker.open_s) == (2, (), BreakerSource().open_s)
    assert own.limits == ServiceLimits(first_byte_s=3.0, upstream_idle_connections=0)


HTTPS = {"urls": ("https://a:1",)}


@pytest.mark.parametrize(
    "given",
    [
        {"urls": ()},
        {"urls": ("http://a:1", "https://b:1")},
        {"urls": ("http://a:1", "http://a:1/")},
        {"urls": ("http://a:1",), "tls": {"ca_file": "ca.pem"}},
        {"urls": ("http://a:1",), "tls": {"verify": False}},
        {**HTTPS, "tls": {"key_file": "key.pem"}},
        {**HTTPS, "tls": {"verify": False, "ca_file": "ca.pem"}},
        {**HTTPS, "tls": {"verify": False, "server_name": "orders"}},
        {**HTTPS, "tls": {"server_name": "or ders"}},
        {**HTTPS, "tls": {"minimum": "1.0"}},
        {**HTTPS, "breaker": {"open_s": 0}},
        {**HTTPS, "breaker": {"failures": -1}},
        {**HTTPS, "breaker": {"fault_statuses": [404]}},
        {**HTTPS, "limits": {"first_byte_s": 0}},
        {**HTTPS, "limits": {"header_bytes": 1024}},
    ],
)
def test_a_service_that_contradicts_itself_is_refused(given: dict[str, Any]) -> None:
    """What would have no effect, or another than it says."""
    with pytest.raises(ValidationError):
        ServiceSettings(**given)


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:9001",
        "ftp://orders:443",
        "http://orders",
        "http://orders:80/path",
        "http://a@b:80",
        "http://orders:80?x=1",
        "http://orders:80\r\n",
        "",
    ],
)
def test_a_url_that_would_not_be_followed_is_refused(url: str) -> None:
    """A path, credentials or a missing port would be ignored silently; so they are errors."""
    with pytest.raises(ValidationError):
        ServiceSettings(urls=(url,))


@pytest.mark.parametrize(
    "origin", ["https://shop.example", "http://localhost:3000", "https://[2001:db8::1]:8443", "app://till"]
)
def test_an_origin_is_written_as_browsers_do(origin: str) -> None:
    """And nobody opens a WebSocket where nothing is said."""
    said = ServiceSettings(urls=("http://orders:80",), websocket=WebSocketSettings(origins=(origin,))).source("order")
    assert (said.websocket_origins, said.websocket_without_origin) == ((origin,), False)
    silent = ServiceSettings(urls=("http://orders:80",)).source("order")
    assert (silent.websocket_origins, silent.websocket_without_origin) == ((), False)


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "null",
        "",
        "shop.example",
        "https://Shop.example",
        "https://shop.example/",
        "https://a b",
        "https://\u017f.example",
    ],
)
def test_an_origin_that_no_browser_sends_is_refused(origin: str) -> None:
    """It would never match, and somebody would look for the reason."""
    with pytest.raises(ValidationError):
        WebSocketSettings(origins=(origin,))


def test_the_sample_services_have_their_ports() -> None:
    """Seven services on 9001 to 9007 and the query API on 8082."""
    found = {name: service.addresses for name, service in default_services().items()}
    assert found["product"] == ("127.0.0.1:9001",)
    assert found["integration"] == ("127.0.0.1:9007",)
    assert found["audit"] == ("127.0.0.1:8082",)
    assert len(found) == 8


@pytest.mark.parametrize(
    "section", [GatewaySettings, OpsSettings, ContextSettings, TenancySettings, PolicySettings, LimitsSettings]
)
def test_sections_know_their_keys_and_stay_as_they_are(section: type[BaseModel]) -> None:
    """An unknown key is an error, and nothing can be changed after the start."""
    with pytest.raises(ValidationError):
        section(no_such_key=1)
    made = section()
    with pytest.raises(ValidationError):
        setattr(made, next(iter(section.model_fields)), None)


@pytest.mark.parametrize("networks", [["10.0.0.1/8"], ["10.0.0.0/33"], ["lb.example"], [""], ["10.0.0.0/8 "]])
def test_a_network_is_a_network(networks: list[str]) -> None:
    """With host bits nobody could say what was meant, and a name is whatever it resolves to."""
    with pytest.raises(ValidationError):
        TrustedHopsSettings(networks=networks)  # type: ignore[arg-type] # as read from YAML


def test_trusted_hops_become_what_a_worker_is_told() -> None:
    """In canonical text; nobody by default."""
    told = TrustedHopsSettings(networks=("10.0.0.0/8", "FD00:0::/8", "192.0.2.1"), count=2, field="forwarded").config()
    assert told == HopsConfig(networks=("10.0.0.0/8", "fd00::/8", "192.0.2.1/32"), count=2, field="forwarded")
    assert GatewaySettings().trusted_hops.config() == HopsConfig()


@pytest.mark.parametrize(
    ("section", "values"),
    [
        (TrustedHopsSettings, {"count": -1}),
        (TrustedHopsSettings, {"count": 1000}),
        (TrustedHopsSettings, {"field": "x-real-ip"}),
        (LimitsSettings, {"connections_per_client": -1}),
        (LimitsSettings, {"inflight": 0}),
        (LimitsSettings, {"pipelined_requests": 0}),
        (LimitsSettings, {"tls_handshake_s": 0}),
        (GatewaySettings, {"unready_s": -1}),
        (GatewaySettings, {"port": 70000}),
        (GatewaySettings, {"workers": -1}),
        (GatewaySettings, {"drain_s": 0}),
        (GatewaySettings, {"node": "Two Words"}),
        (LimitsSettings, {"header_bytes": 0}),
        (LimitsSettings, {"connect_s": 0}),
        (ContextSettings, {"alg": "none"}),
        (ContextSettings, {"ttl_s": 0}),
        (ContextSettings, {"ttl_s": 86400}),
    ],
)
def test_values_that_make_no_sense_are_refused(section: type[BaseModel], values: dict[str, Any]) -> None:
    """Each is named when the configuration is checked, before anything listens."""
    with pytest.raises(ValidationError):
        section(**values)


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "shop.example",
        "https://shop.example/",
        "https://shop.example/path",
        "https://Shop.example",
        "HTTPS://shop.example",
        "https://shop.example:443",
        "http://shop.example:80",
        "https://shop.example:0443",
        "https://*.shop.example",
        "https://user@shop.example",
        "https://shop.example https://till.example",
        "https://b\u00fccher.example",
        "https://",
        "",
    ],
)
def test_an_origin_that_no_browser_would_send_is_refused(origin: str) -> None:
    """It would match nothing, and nobody would know why."""
    with pytest.raises(ValidationError, match="allow_origins"):
        CorsSettings(allow_origins=(origin,))


@pytest.mark.parametrize(
    "origin",
    [
        "https://shop.example",
        "http://localhost:3000",
        "https://[2001:db8::1]:8443",
        "capacitor://localhost",
        "https://shop.example:80",
    ],
)
def test_an_origin_as_a_browser_sends_it_is_taken(origin: str) -> None:
    """And comes out as a snapshot needs it."""
    source = ServiceSettings(urls=("http://127.0.0.1:1",), cors=CorsSettings(allow_origins=(origin,))).source("shop")
    assert source.cors is not None
    assert source.cors.origins == (origin,)


def test_any_origin_stands_alone_and_without_credentials() -> None:
    """`*` beside a name hides the name; `*` with cookies would let every page act as its visitor."""
    assert CorsSettings(allow_origins=("*",)).source().origins == ("*",)
    with pytest.raises(ValidationError, match="stands alone"):
        CorsSettings(allow_origins=("*", "https://shop.example"))
    with pytest.raises(ValidationError, match="stands alone"):
        CorsSettings(allow_origins=("*",), allow_credentials=True)
    with pytest.raises(ValidationError):
        CorsSettings(allow_origins=())
    with pytest.raises(ValidationError):
        CorsSettings(allow_origins=("https://shop.example",), allow_headers=("*",))
    assert ServiceSettings(urls=("http://127.0.0.1:1",)).source("shop").cors is None


def test_fields_are_masked_or_removed() -> None:
    """And nothing else can be asked for, least of all that they stay."""
    assert GatewaySettings().redacted_fields == "mask"
    assert GatewaySettings(redacted_fields="remove").redacted_fields == "remove"
    with pytest.raises(ValidationError):
        GatewaySettings.model_validate({"redacted_fields": "off"})
