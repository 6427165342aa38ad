"""Doors for proxies that people already run: forward-auth, and Envoy's ext_authz over HTTP and gRPC (DESIGN s7)."""
