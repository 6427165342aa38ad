"""What a document can be refused for."""

from lychgate.errors import ConfigurationError


class DocumentRefused(ConfigurationError):
    """The OpenAPI document cannot be used; says where and why."""
