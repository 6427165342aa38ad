"""Who is measured beside Lychgate, and the service behind all of them.

Every one of them is one process on the measured core; an authorizer belongs to whom it answers, on the same core and in
the same sum. Connections are kept alive on every hop, as an operator would configure it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from load.bench.machine import Processes, envoy, listens, measured_core, other_core, program
from lychgate.ports import free_port

# nginx closes a connection after 1,000 requests, and h2load does not connect again: hence `keepalive_requests`.
KEPT: Final = 256
"""Connections towards the upstream that are kept: as many as a line opens in front. nginx's own default is none."""
_NGINX: Final = """\
worker_processes 1; daemon off; master_process off; pid {home}/{name}.pid; error_log {home}/{name}.err;
events {{ worker_connections 16384; }}
http {{
  access_log off; keepalive_requests 1000000000; client_max_body_size 0;
  client_body_temp_path {home}/{name}-body; proxy_temp_path {home}/{name}-proxy;
  fastcgi_temp_path {home}/{name}-fastcgi; uwsgi_temp_path {home}/{name}-uwsgi; scgi_temp_path {home}/{name}-scgi;
  {upstreams}
  server {{ listen 127.0.0.1:{port} backlog=4096; {server} }}
}}
"""
_KEPT_UPSTREAM: Final = (
    "upstream {name} {{ server 127.0.0.1:{port}; keepalive {kept}; keepalive_requests 1000000000; }}"
)
_PROXIES: Final = 'proxy_http_version 1.1; proxy_set_header Connection "";'
ANSWER: Final = json.dumps({"id": "o-00001", "status": "paid", "total_cents": 4200, "lines": [{"sku": "s", "n": 1}]})


@dataclass(frozen=True, slots=True)
class Peer:
    """One that is measured.

    Attributes:
        name: For people.
        key: In the results.
        port: Where it listens.
        front: The processes that clients talk to.
        helpers: Whatever else it needs to answer; counted with it.
        authorizes: Whether refusals are to be expected.
    """

    name: str
    key: str
    port: int
    front: tuple[int, ...]
    helpers: tuple[int, ...] = ()
    authorizes: bool = False

    @property
    def whole(self) -> tuple[int, ...]:
        """The whole process tree."""
        return self.front + self.helpers


class Neighbours:
    """Starts upstream and peers.

    Args:
        processes: Keeps them.
        home: A folder for their configurations.
    """

    def __init__(self, processes: Processes, home: Path) -> None:
        self._processes = processes
        self._home = home

    def upstream(self, files: Path) -> int:
        """The service: a small JSON answer to anything but `/orders/big`, which is a file; returns its port."""
        server = (
            f"root {files}; location = /orders/big {{ try_files /big =404; default_type application/octet-stream; }}"
            f"location / {{ default_type application/json; return 200 '{ANSWER}'; }}"
        )
        return self._nginx("upstream", other_core(), "", server)[0]

    def nginx_plain(self, upstream: int) -> Peer:
        """Nginx that only proxies."""
        upstreams = _KEPT_UPSTREAM.format(name="service", port=upstream, kept=KEPT)
        server = f"location / {{ proxy_pass http://service; {_PROXIES} }}"
        port, pid = self._nginx("nginx-plain", measured_core(), upstreams, server)
        return Peer("nginx, plain proxy", "nginx", port, (pid,))

    def nginx_authorized(self, upstream: int, yes: tuple[int, int]) -> Peer:
        """Nginx that asks an authorizer about each request."""
        upstreams = " ".join(
            _KEPT_UPSTREAM.format(name=name, port=port, kept=KEPT)
            for name, port in (("service", upstream), ("authorizer", yes[0]))
        )
        server = (
            f"location / {{ auth_request /authorize; proxy_pass http://service; {_PROXIES} }}"
            f"location = /authorize {{ internal; proxy_pass http://authorizer; {_PROXIES}"
            ' proxy_pass_request_body off; proxy_set_header Content-Length ""; }'
        )
        port, pid = self._nginx("nginx-auth", measured_core(), upstreams, server)
        return Peer("nginx + auth_request, always yes", "nginx_auth_request", port, (pid,), (yes[1],))

    def authorizer(self, name: str) -> tuple[int, int]:
        """An nginx that always says yes; returns port and pid."""
        return self._nginx(name, measured_core(), "", "location / { return 200; }")

    def envoy_plain(self, upstream: int) -> Peer:
        """Envoy that only proxies."""
        port, pid = self._envoy("envoy-plain", {"service": upstream}, [])
        return Peer("Envoy, plain proxy", "envoy", port, (pid,))

    def envoy_authorized(self, upstream: int, yes: tuple[int, int]) -> Peer:
        """Envoy that asks an authorizer about each request, over HTTP."""
        asks = {
            "name": "envoy.filters.http.ext_authz",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
                "transport_api_version": "V3",
                "http_service": {
                    "server_uri": {
                        "uri": f"http://127.0.0.1:{yes[0]}",
                        "cluster": "authorizer",
                        "timeout": "5s",
                    }
                },
            },
        }
        port, pid = self._envoy("envoy-auth", {"service": upstream, "authorizer": yes[0]}, [asks])
        return Peer("Envoy + ext_authz, always yes", "envoy_ext_authz", port, (pid,), (yes[1],))

    def _nginx(self, name: str, core: int, upstreams: str, server: str) -> tuple[int, int]:
        port = free_port()
        file = self._home / f"{name}.conf"
        file.write_text(_NGINX.format(home=self._home, name=name, port=port, upstreams=upstreams, server=server))
        pid = self._processes.start(name, [program("nginx"), "-e", "stderr", "-c", str(file)], core=core)
        self._processes.await_ready(name, lambda: listens(port))
        return port, pid

    def _envoy(self, name: str, clusters: dict[str, int], filters: list[dict[str, Any]]) -> tuple[int, int]:
        port = free_port()
        file = self._home / f"{name}.json"
        file.write_text(json.dumps(_envoy_configuration(port, clusters, filters)), encoding="utf-8")
        command = [envoy(), "-c", str(file), "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
        pid = self._processes.start(name, command, core=measured_core())
        self._processes.await_ready(name, lambda: listens(port))
        return port, pid


def _envoy_configuration(port: int, clusters: dict[str, int], filters: list[dict[str, Any]]) -> dict[str, Any]:
    """The smallest one that proxies; what is not said is Envoy's default."""
    package = "type.googleapis.com/envoy.extensions.filters"
    manager = {
        "@type": f"{package}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "ingress",
        "codec_type": "HTTP1",
        "route_config": {
            "virtual_hosts": [
                {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": _TO_SERVICE}]}
            ]
        },
        "http_filters": [
            *filters,
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{package}.http.router.v3.Router"}},
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {
        "static_resources": {
            "listeners": [{"name": "front", "address": _address(port), "filter_chains": [chain]}],
            "clusters": [_cluster(name, where) for name, where in clusters.items()],
        }
    }


_TO_SERVICE: Final = {"cluster": "service", "timeout": "0s"}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _cluster(name: str, port: int) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": _address(port)}}
    return {
        "name": name,
        "type": "STATIC",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
