"""To the service and back: what it may see, which connection carries it, and how bytes flow."""
