"""Turns annotated class attributes into an estimator's parameters, and checks values by the annotations."""

import inspect
import reprlib
from collections.abc import Callable, Iterator
from dataclasses import field
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, dataclass_transform, get_origin, get_type_hints

import numpy as np
from pydantic import AfterValidator, ConfigDict, Field, PydanticUserError, TypeAdapter, ValidationError

from simbench.errors import BadInput
from simbench.training.device import checked_device

WRITTEN = "is_written_from_parameters"  # marks the constructors that are generated here
LARGEST = 2**31 - 1
Count = Annotated[int, Field(ge=1, le=LARGEST)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Widths = Annotated[tuple[Annotated[int, Field(ge=1, le=2**16)], ...], Field(max_length=64)]
Optimiser = Literal["adam", "lbfgs"]
Device = Annotated[str, AfterValidator(checked_device)]
SAID = {  # in place of what pydantic says
    "tuple_type": "must be a tuple, such as (32, 16) or ()",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be a text",
}


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


@cache
def _checks(kind: type) -> list[tuple[str, TypeAdapter[Any]]]:
    """Every parameter with what its annotation asks for: once for each class that annotates it."""
    found = []
    for base in kind.__mro__:
        try:
            annotated = get_type_hints(base, include_extras=True)
        except (NameError, TypeError):  # the text of an annotation that cannot be evaluated here
            continue
        for name in parameters_of(kind).keys() & inspect.get_annotations(base).keys():
            config = ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)
            try:
                found.append((name, TypeAdapter(annotated[name], config=config)))
            except PydanticUserError:  # a class with rules of its own: a model, a dataclass
                continue
    return found


def _plain(value: Any) -> Any:
    """A value as Python has it: NumPy's numbers as numbers, and lists, which YAML writes, as tuples."""
    if isinstance(value, np.generic):
        return value.item()
    return tuple(_plain(one) for one in value) if isinstance(value, list | tuple) else value


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

    def check_parameters(self) -> None:
        """Check that every parameter has the type and lies in the range that its annotation states.

        Ranges are those of pydantic, such as ``Annotated[float, Field(gt=0)]``; numbers must be finite. A
        parameter that still has its default is taken as it is.

        Raises
        ------
        BadInput
            Naming the parameter, what it must be, and what it is.
        """
        kind = type(self)
        for name, check in _checks(kind):
            value = getattr(self, name, None)
            if value is getattr(kind, name, inspect.Parameter.empty):
                continue
            try:
                check.validate_python(_plain(value))
            except ValidationError as error:
                own = getattr(kind, "name", "") or kind.__name__
                raise BadInput(f"{own}: {_sentence(name, error)}") from error


def _sentence(name: str, error: ValidationError) -> str:
    first = error.errors()[0]
    entry = "".join(f"entry {place + 1} of " for place in first["loc"][:1] if isinstance(place, int))
    said = SAID.get(first["type"], first["msg"].replace("Input should", "must", 1))
    said = said.replace("greater than or equal to", "at least").replace("less than or equal to", "at most")
    is_text = first["type"] == "float_type" and isinstance(first["input"], str)
    hint = " (a text; in YAML, write 1.0e-3 for 1e-3)" if is_text else ""
    return f"{entry}{name} {said}, got {_shown(first['input'])}{hint}."


def _shown(value: Any) -> str:
    try:
        return reprlib.repr(value)
    except ValueError:  # Python writes no integer of more than 4,300 digits
        return "a number of thousands of digits"


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
