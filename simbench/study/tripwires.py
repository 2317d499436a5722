"""Tripwires around an estimator's code: they name those that reach for more than their log.

They see what Python shows of a call, and no more: whoever takes pains is not seen here. What keeps the truth
from an estimator in a study is that its process does not hold it, see :mod:`simbench.study.guests`.
"""

import gc
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType, ModuleType, TracebackType
from typing import Any, Self

LOOKS = {
    sys._getframe: "walks the frames of its callers",
    sys._current_frames: "walks the frames of its callers",
    gc.get_objects: "asks the garbage collector for other objects",
    gc.get_referrers: "asks the garbage collector for other objects",
    gc.get_referents: "asks the garbage collector for other objects",
}
THROUGH = ("inspect", "traceback")  # modules that ask for frames on behalf of their caller
OPENS = ("open", "os.listdir", "os.scandir")  # audited events whose first argument is a path

_active: "Tripwires | None" = None
_audits = False


class Tripwires:
    """A context in which the code of an estimator runs.

    Parameters
    ----------
    root : Path
        File or folder of the estimator's code.
    results : Path, optional
        A folder of results that it has no business in.

    Attributes
    ----------
    reached : list of str
        What it reached for, in words, each once.
    """

    def __init__(self, root: Path, results: Path | None = None):
        self.root, self.results = str(root), None if results is None else str(results.resolve())
        self.reached: list[str] = []

    def __enter__(self) -> Self:
        global _active, _audits
        if self.results is not None and not _audits:
            sys.addaudithook(_audited)  # for as long as the process lives
            _audits = True
        self._before = _functions()
        _active = self
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _active
        sys.setprofile(None)
        threading.setprofile(None)
        _active = None
        after = _functions()
        for name, (holder, function) in self._before.items():
            if after.get(name, (holder, None))[1] is not function:
                self._trip(f"replaces {name}")

    def _trip(self, what: str) -> None:
        if what not in self.reached:
            self.reached.append(what)

    def _profile(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            module = str(frame.f_globals.get("__name__", ""))
            if module.startswith("simbench.worlds.") and frame.f_code.co_name != "<module>":
                self._trip("runs code of simbench.worlds, where the truth is")
        elif event == "c_call" and _look(argument) is not None and self._asks(frame):
            self._trip(str(_look(argument)))

    def _asks(self, frame: FrameType | None) -> bool:
        while frame is not None and frame.f_globals.get("__name__") in THROUGH:
            frame = frame.f_back
        return frame is not None and frame.f_code.co_filename.startswith(self.root)

    def opened(self, path: str) -> None:
        """Take note of a path that is opened or listed."""
        whole = os.path.realpath(path)
        if self.results is not None and whole.startswith(self.results):
            self._trip("reads the results of a study")
        parts = Path(whole).parts[1:3]
        if parts[:1] == ("proc",) and parts[-1].isdigit() and int(parts[-1]) != os.getpid():
            self._trip("looks into another process (/proc)")


def code_of(kind: type) -> Path:
    """Where the code of a class lies: its package, or its file."""
    module = sys.modules[kind.__module__]
    package = sys.modules.get(kind.__module__.split(".")[0])
    if package is not None and getattr(package, "__path__", None):
        return Path(next(iter(package.__path__)))
    return Path(getattr(module, "__file__", None) or kind.__module__)


def _audited(event: str, arguments: tuple[Any, ...]) -> None:
    if _active is not None and event in OPENS and isinstance(arguments[0], str | os.PathLike):
        _active.opened(os.fspath(arguments[0]))


def _look(called: Any) -> str | None:
    try:
        return LOOKS.get(called)
    except TypeError:  # what has no hash is none of them
        return None


def _functions() -> dict[str, tuple[Any, Any]]:
    """All functions and methods of the bench by their names; each with what it stands in."""
    found: dict[str, tuple[Any, Any]] = {}
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "simbench" and isinstance(module, ModuleType):
            for key, value in list(vars(module).items()):
                if isinstance(value, type) and value.__module__ == name:
                    own = vars(value).items()
                    found |= {f"{name}.{key}.{k}": (value, v) for k, v in own if _is_code(v)}
                elif isinstance(value, Callable):
                    found[f"{name}.{key}"] = (module, value)
    return found


def _is_code(value: Any) -> bool:
    return isinstance(value, Callable | property | classmethod | staticmethod)
