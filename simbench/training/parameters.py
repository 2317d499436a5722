"""Turns annotated class attributes into an estimator's parameters, so that no constructor must be written."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import field
from typing import Any, ClassVar, dataclass_transform, get_origin

WRITTEN = "is_written_from_parameters"  # marks the constructors that are generated here


def parameters_of(kind: type) -> dict[str, inspect.Parameter]:
    """The parameters of a class: its annotated attributes and those of its bases, the bases' first.

    Not parameters are attributes annotated as ``ClassVar`` (here or in a base), and names that begin or end
    with an underscore (private, or set by ``fit``). The default is the attribute's value on ``kind``, so that
    a subclass changes a default by assigning a new value.
    """
    found: dict[str, inspect.Parameter] = {}
    fixed: set[str] = set()
    for name, annotation in _annotations(kind):
        if _is_class_variable(annotation):
            fixed.add(name)
        elif name not in fixed and not name.startswith("_") and not name.endswith("_"):
            default = getattr(kind, name, inspect.Parameter.empty)
            found[name] = inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
            )
    return found


def _annotations(kind: type) -> Iterator[tuple[str, Any]]:
    for base in reversed(kind.__mro__):
        yield from inspect.get_annotations(base).items()


def _is_class_variable(annotation: Any) -> bool:
    if isinstance(annotation, str):
        return annotation.startswith(("ClassVar", "typing.ClassVar"))
    return annotation is ClassVar or get_origin(annotation) is ClassVar


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(field,))
class Parameters:
    """Base class that generates the constructor, which takes the parameters by keyword and stores them.

    A subclass that writes its own ``__init__`` keeps it, and so do its subclasses.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.__init__ is object.__init__ or hasattr(cls.__init__, WRITTEN):
            setattr(cls, "__init__", _constructor(cls))  # noqa: B010  a type checker reads the attributes


def _constructor(kind: type) -> Callable[..., None]:
    """An ``__init__`` with a signature that names every parameter, for scikit-learn to read."""
    parameters = parameters_of(kind)
    required = [name for name, one in parameters.items() if one.default is inspect.Parameter.empty]

    def __init__(self, *positional: Any, **given: Any) -> None:
        if positional:
            raise TypeError(
                f"{type(self).__name__} takes its parameters by name only, such as "
                f"{type(self).__name__}({next(iter(parameters), 'name')}=...)."
            )
        unknown = [name for name in given if name not in parameters]
        if unknown:
            raise TypeError(
                f"{type(self).__name__} has no parameter {unknown[0]!r}; it has {', '.join(parameters)}."
            )
        missing = [name for name in required if name not in given]
        if missing:
            raise TypeError(f"{type(self).__name__} needs the parameter {missing[0]!r}.")
        for name, one in parameters.items():
            setattr(self, name, given.get(name, one.default))

    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    # required ones may follow those with a default: all are given by keyword
    __init__.__signature__ = inspect.Signature([own, *parameters.values()])  # pyright: ignore[reportFunctionMemberAccess]
    __init__.__qualname__ = f"{kind.__qualname__}.__init__"
    setattr(__init__, WRITTEN, True)
    return __init__
