"""A learner's settings, read, set and cloned as scikit-learn's are, without importing it: that takes half a second."""

from __future__ import annotations

from inspect import signature
from typing import Any, Self


class Settings:
    """Of a learner whose `__init__` keeps each argument under its own name."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """By name. deep: a setting has no settings of its own."""
        del deep
        return {name: getattr(self, name) for name in signature(type(self)).parameters}

    def set_params(self, **settings: Any) -> Self:
        """Errors: ValueError for a name that is no setting; nothing is set then."""
        if unknown := sorted(set(settings) - set(self.get_params())):
            raise ValueError(f"no settings of {type(self).__name__}: {', '.join(unknown)}")
        for name, value in settings.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.get_params().items())})"
