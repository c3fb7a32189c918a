"""Attacks and their parts as plain data that JSON can hold and give back."""

from __future__ import annotations

import dataclasses
import functools
import numbers
import types
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from blurnet_tf.checks import shown

_REGISTERED: dict[str, type[Any]] = {}

C = TypeVar("C", bound="type[Any]")


@dataclass(frozen=True)
class Part:
    """Base of what attacks are made of: a frozen dataclass of JSON types, lists as tuples so that it can be hashed.

    `key` is the name under which `to_config` has the class.
    """

    key: ClassVar[str] = "kind"

    def __init_subclass__(cls) -> None:
        """Have each class check that its fields are of the types that it says, after what it checks itself."""
        super().__init_subclass__()
        own: Callable[[Any], None] | None = cls.__dict__.get("__post_init__")
        if own is None:
            return

        @functools.wraps(own)
        def checked(self: Any) -> None:
            outermost = type(self).__post_init__ is checked  # what a class further out converts is not converted yet
            try:
                own(self)
            except (AttributeError, TypeError):  # it compared or converted what is of another type
                if outermost:
                    check_types(self)
                raise
            if outermost:
                check_types(self)

        cls.__post_init__ = checked  # type: ignore[method-assign]

    def __post_init__(self) -> None:
        if type(self).__post_init__ is Part.__post_init__:
            check_types(self)

    def to_config(self) -> dict[str, Any]:
        """Return the class's name and each field, in JSON types only; `from_config` makes an equal object of them.

        Example:
            >>> Colour(1, 0, 0).to_config()
            {'kind': 'Colour', 'red': 1.0, 'green': 0.0, 'blue': 0.0}
        """
        fields = {field.name: _encode(getattr(self, field.name)) for field in dataclasses.fields(self)}
        return {self.key: type(self).__name__} | fields


def check_types(part: Any) -> None:
    """Raise ValueError if a field of a dataclass is not of the type that it says."""
    for name, hint in _hints(type(part)).items():  # type: ignore[arg-type]
        value = getattr(part, name, None)
        if not _fits(value, hint):
            raise ValueError(f"`{name}` must be {_words(hint)}. Received: {name}={shown(value)}")


@functools.cache
def _hints(cls: Hashable) -> dict[str, Any]:
    try:
        hints = get_type_hints(cls)
    except NameError:  # a class inside a function, with names that are known there alone
        return {}
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}  # type: ignore[arg-type]


def _fits(value: Any, hint: Any) -> bool:
    if isinstance(hint, types.UnionType) or get_origin(hint) is Union:
        return any(_fits(value, one) for one in get_args(hint))
    if get_origin(hint) is tuple:
        inner = get_args(hint)
        if not isinstance(value, (tuple, list)):
            return False
        if inner[-1:] == (Ellipsis,):
            return all(_fits(one, inner[0]) for one in value)
        return len(value) == len(inner) and all(map(_fits, value, inner))
    if hint in _NUMBERS:
        return isinstance(value, _NUMBERS[hint][0]) and not isinstance(value, (bool, np.bool_))
    if hint is bool:
        return isinstance(value, (bool, np.bool_))
    return hint is Any or not isinstance(hint, type) or isinstance(value, hint)


def _words(hint: Any) -> str:
    """Return a type in words."""
    if isinstance(hint, types.UnionType) or get_origin(hint) is Union:
        return " or ".join(_words(one) for one in get_args(hint))
    if get_origin(hint) is tuple:
        inner = [one for one in get_args(hint) if one is not Ellipsis]
        return f"a tuple of {' and '.join(dict.fromkeys(map(_words, inner)))}"
    known = {bool: "True or False", str: "a string", types.NoneType: "None"}
    return known.get(hint) or (
        _NUMBERS[hint][1] if hint in _NUMBERS else f"of the class {getattr(hint, '__name__', hint)}"
    )


_NUMBERS: dict[Any, tuple[type[Any], str]] = {
    int: (numbers.Integral, "an integer"), float: (numbers.Real, "a number"),
}  # fmt: skip


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
    if not isinstance(config, Mapping):
        raise ValueError(f"`config` must be the settings of an attack or a part. Received: {shown(config)}")
    key = "kind" if "kind" in config else "attack"  # a part may have a field `attack`
    settings = {name: _decode(value) for name, value in config.items() if name != key}
    name = config.get(key)
    if not isinstance(name, str) or name not in _REGISTERED:
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
