"""What every test may ask for. Fixtures live with the servers they start, in `tests/servers/`."""

pytest_plugins = ["tests.servers.postgres", "tests.servers.stack"]
