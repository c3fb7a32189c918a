"""Attacks and their parts as plain data that JSON can hold and give back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np

_REGISTERED: dict[str, type[Any]] = {}

C = TypeVar("C", bound="type[Any]")


@dataclass(frozen=True)
class Part:
    """Base of what attacks are made of: a frozen dataclass of JSON types, lists as tuples so that it can be hashed.

    `key` is the name under which `to_config` has the class.
    """

    key: ClassVar[str] = "kind"

    def to_config(self) -> dict[str, Any]:
        """Return the class's name and each field, in JSON types only; `from_config` makes an equal object of them.

        Example:
            >>> Colour(1, 0, 0).to_config()
            {'kind': 'Colour', 'red': 1.0, 'green': 0.0, 'blue': 0.0}
        """
        fields = {field.name: _encode(getattr(self, field.name)) for field in dataclasses.fields(self)}
        return {self.key: type(self).__name__} | fields


def register(cls: C) -> C:
    """Make a class known to `from_config`: a decorator for parts and attacks. No two have the same name."""
    known = _REGISTERED.setdefault(cls.__name__, cls)
    if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
        raise ValueError(f"A registered class must have a name of its own. Received: {cls.__name__}, as {known}")
    _REGISTERED[cls.__name__] = cls  # a cell of a notebook that is run again defines its class anew
    return cls


def from_config(config: Mapping[str, Any]) -> Any:
    """Return the attack or the part that `to_config` described, also after JSON: an equal object.

    A ValueError says that the class is unknown or does not take the settings.

    Example:
        >>> from_config(RP2(steps=20).to_config()) == RP2(steps=20)
        True
    """
    key = "kind" if "kind" in config else "attack"  # a part may have a field `attack`
    settings = {name: _decode(value) for name, value in config.items() if name != key}
    name = config.get(key)
    if name not in _REGISTERED:
        raise ValueError(
            f"`config` must be of {', '.join(sorted(_REGISTERED))} or of a class with @register. Received: {name!r}"
        )
    try:
        return _REGISTERED[name](**settings)
    except TypeError as error:
        raise ValueError(f"`config` must hold the settings of {name}. Received: {config!r} ({error})") from error


def _encode(value: Any) -> Any:
    if isinstance(value, Part):
        return value.to_config()
    if isinstance(value, np.generic):
        return value.item()
    return [_encode(one) for one in value] if isinstance(value, tuple) else value


def _decode(value: Any) -> Any:
    if isinstance(value, Mapping):
        return from_config(value)
    return tuple(_decode(one) for one in value) if isinstance(value, (list, tuple)) else value
