"""Files to sources: read, checked, and every fault named with its place."""

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from audit.private_file import read_private
from gateway.service_settings import ServiceSettings
from gateway.settings import ContextSettings, GatewaySettings, IssuerSettings, PolicySettings, TenancySettings
from gateway.sources import SourceFile, TlsSource
from gateway.supervisor.context_keys import ContextKeys
from gateway.supervisor.errors import StartRefused
from gateway.supervisor.sources import checked, later, read_rules, read_sources, watched
from policies.load import read_folder
from policies.origin import make_key, private_key
from policies.pack import pack
from tests.builders import plane
from tests.builders.authority import Authority
from tests.builders.private import private

NOW = 1_800_000_000.0


def _read(folder: Path, **changes: Any) -> Any:
    """Read the sources of a copy of the repository's policies and roles."""
    if not (folder / "policies").exists():
        shutil.copytree(
            plane.ROOT / "policies", folder / "policies", ignore=shutil.ignore_patterns("*.py", "__pycache__")
        )
        shutil.copy(plane.ROOT / "roles" / "roles.toml", folder / "roles.toml")
        (folder / "routes.toml").write_text(plane.ROUTES)
    given: dict[str, Any] = {
        "gateway": GatewaySettings(routes_file=folder / "routes.toml", roles_file=folder / "roles.toml"),
        "issuers": [],
        "tenancy": TenancySettings(),
        "policies": PolicySettings(folder=folder / "policies"),
        "services": {"order": ServiceSettings(urls=("http://127.0.0.1:9002",))},
    }
    context = changes.pop("context", ContextSettings(key_file=folder / "context.jwk"))
    return read_sources(context=lambda: ContextKeys(context).source(NOW), **{**given, **changes})


def _appended(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def test_the_repositorys_own_files_are_good(tmp_path: Path) -> None:
    """Read and built, with the switches of the settings in them."""
    sources = _read(tmp_path, tenancy=TenancySettings(cross_tenant=True))
    snapshot = checked(sources)
    assert snapshot.cross_tenant
    assert len(snapshot.bundle.policies) > 10
    assert snapshot.services["order"].addresses == ("127.0.0.1:9002",)


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("policies/order.cedar", "\npermit (principal, action, resource", "order.cedar:"),
        (
            "policies/order.cedar",
            '\n@id("x")\n@reason("x")\npermit (principal in Role::"Boss", action, resource);',
            "Boss",
        ),
        ("roles.toml", "\n[[role]]\n", "roles.toml"),
        ("routes.toml", "\n[[route]]\n", "routes.toml"),
        ("routes.toml", "\n[[", "routes.toml"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, file: str, text: str, words: str) -> None:
    """The text names the file, so that whoever started the gateway can mend it."""
    _read(tmp_path)
    _appended(tmp_path / file, text)
    with pytest.raises(StartRefused, match=words):
        checked(_read(tmp_path))


@pytest.mark.parametrize("file", ["policies/schema.cedarschema", "roles.toml", "routes.toml"])
def test_a_missing_or_unreadable_file_is_named(tmp_path: Path, file: str) -> None:
    """So is one that is not there, or is not text."""
    _read(tmp_path)
    (tmp_path / file).write_bytes(b"\xff\xfe")
    with pytest.raises(StartRefused, match=f"{Path(file).name}.*UTF-8"):
        _read(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(StartRefused, match=f"{Path(file).name}.*cannot be read"):
        _read(tmp_path)


def test_two_issuers_of_one_name_are_refused(tmp_path: Path) -> None:
    """Nobody could say whose a principal is."""
    issuer = IssuerSettings(
        name="dev", iss="https://a.example", jwks_file=Path("x"), audiences=("a",), tenants=("*",), roles=("*",)
    )
    with pytest.raises(StartRefused, match="issuers"):
        checked(_read(tmp_path, issuers=[issuer, issuer]))


def test_a_key_that_is_none_is_refused_without_showing_it(tmp_path: Path) -> None:
    """A broken key file is an error whose text has nothing of its content."""
    (tmp_path / "context.jwk").touch(0o600)
    (tmp_path / "context.jwk").write_text('{"kty": "OKP", "d": "very-secret"}')
    with pytest.raises(StartRefused) as refused:
        checked(_read(tmp_path))
    assert "very-secret" not in str(refused.value)


def test_a_services_certificates_are_read_with_the_sources(tmp_path: Path) -> None:
    """Their text, so that all workers have the same, and a renewed one is another version of the sources."""
    authority = Authority()
    ours = authority.sign("gateway.internal")
    cert, key = ours.files(tmp_path, "ours")
    (tmp_path / "ca.pem").write_text(authority.cert)
    tls = {"ca_file": tmp_path / "ca.pem", "cert_file": cert, "key_file": key, "server_name": "orders.internal"}
    services = {"order": ServiceSettings(urls=("https://127.0.0.1:9002",), tls=tls)}
    sources = _read(tmp_path, services=services)
    [order] = sources.services
    expected = TlsSource(ca=authority.cert, cert=ours.cert, key=ours.key, server_name="orders.internal")
    assert order.tls == expected
    authority.sign("gateway.internal").files(tmp_path, "ours")
    assert _read(tmp_path, services=services).version != sources.version
    assert checked(sources).services["order"].tls == expected


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("ca_file", "not a certificate", r"services\.order\.tls: ca_file holds no certificate"),
        ("cert_file", "not a certificate", r"services\.order\.tls: cert_file and key_file"),
        ("ca_file", None, "cannot be read"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path, name: str, text: str | None, words: str) -> None:
    """Before any socket is opened."""
    if text is not None:
        private(tmp_path / "file.pem", text)
    settings = ServiceSettings(urls=("https://127.0.0.1:9002",), tls={name: tmp_path / "file.pem"})
    with pytest.raises(StartRefused, match=words):
        _read(tmp_path, services={"order": settings})


def test_a_service_that_is_not_verified_is_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At each start; and one over plain HTTP has no TLS at all."""
    settings = ServiceSettings(urls=("https://127.0.0.1:9002",), tls={"verify": False})
    [order] = _read(tmp_path, services={"order": settings}).services
    assert order.tls == TlsSource(verify=False)
    said = capsys.readouterr()
    assert "upstream_not_verified" in said.out + said.err
    [plain] = _read(tmp_path).services
    assert plain.tls is None


def test_a_bundle_brings_roles_and_routes_and_a_serial(tmp_path: Path) -> None:
    """In place of the configured files; what it does not bring is read from them."""
    key = tmp_path / "key.pem"
    public = make_key(key)
    policies, schema = read_folder(plane.ROOT / "policies")
    file = tmp_path / "policies.lcb"
    settings = PolicySettings(bundle=file, bundle_public_keys=(public,))
    gateway = GatewaySettings(routes_file=tmp_path / "routes.toml", roles_file=plane.ROOT / "roles" / "roles.toml")
    file.write_bytes(pack([*policies, schema, ("routes.toml", "packed")], 3, private_key(key, read_private)))
    rules = read_rules(gateway, settings)
    assert (rules.routes.text, rules.bundle_serial) == ("packed", 3)
    assert rules.roles.text == gateway.roles_file.read_text()
    assert watched(gateway, settings) == (file, public, gateway.roles_file, gateway.routes_file)
    file.write_bytes(pack([*policies, schema], 3, private_key(key, read_private)))
    with pytest.raises(StartRefused, match=r"routes\.toml: cannot be read: No such file or directory"):
        read_rules(gateway, settings)


def test_a_bundle_does_not_go_back() -> None:
    """A lower serial, or the same with other policies; a folder has none, and other files may change beside it."""
    policies = (SourceFile("a.cedar", "a"),)
    five = msgspec.structs.replace(plane.sources(1), bundle_serial=5)
    other = msgspec.structs.replace(five, policies=policies)
    assert later(five, msgspec.structs.replace(five)) is five
    for new in (msgspec.structs.replace(other, bundle_serial=6), msgspec.structs.replace(five, strict=True)):
        assert later(five, new) is new
    with pytest.raises(StartRefused, match=r"serial is 4; 5 is in force, and only a restart goes back$"):
        later(five, msgspec.structs.replace(other, bundle_serial=4))
    with pytest.raises(StartRefused, match=r"serial is 5, as of the one in force, and its files are not the same$"):
        later(five, other)
    folder = msgspec.structs.replace(other, bundle_serial=None)
    assert later(five, folder) is folder
    assert later(folder, five) is five
