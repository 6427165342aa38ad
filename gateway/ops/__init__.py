"""The operations port: health, readiness, metrics, status, and the exchange of security contexts."""
