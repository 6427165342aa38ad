"""What every test may ask for. Fixtures live with the servers they start, in `tests/servers/`."""

from hypothesis import settings

pytest_plugins = [
    "tests.servers.postgres",
    "tests.servers.stack",
    "tests.servers.kafka.server",
    "tests.servers.kafka.broker",
    "tests.servers.opensearch.server",
    "tests.servers.disk",
]

settings.register_profile("lychgate", deadline=None)  # a busy machine is not a finding; pytest-timeout catches a hang
settings.load_profile("lychgate")
