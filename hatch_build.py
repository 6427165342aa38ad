"""What stands at the top of the tree and belongs into a wheel.

Not into an editable install, which reads the tree itself: `force-include` would put copies there that grow old.
"""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CarriedFiles(BuildHookInterface):  # type: ignore[type-arg]  # hatchling's own parameter says nothing here
    """Adds the files that `pyproject.toml` lists under this hook: place in the tree to place in the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a wheel is built; `version` is `standard` or `editable`."""
        if version == "standard":
            build_data["force_include"].update(self.config["carried"])
