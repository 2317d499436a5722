"""The rooms of the house stand in an order, and imports run one way: no circle, hidden ones included."""

import ast
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Each may import from those before it. Worlds and training do not know each other, nor reward and repro.
FLOORS = (
    ("_compat", "errors", "stops", "streams"),
    ("files",),
    ("log",),
    ("worlds", "training"),
    ("estimator",),
    ("score",),
    ("study",),
    ("reward", "repro"),
    ("cli",),
    ("__init__", "__main__"),
)
GUESTS = ("simbench_estimators", "simbench_figures")


def modules(root: Path, package: str = "simbench") -> dict[str, Path]:
    """Dotted names of a package's files; a package's own file has the package's name."""
    found = {}
    for path in (root / package).rglob("*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(module: str, path: Path, known: Iterable[str]) -> set[str]:
    """Modules that a file imports anywhere: at the top, in a function, behind TYPE_CHECKING, by name."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            names |= {f"{source}.{alias.name}" for alias in node.names}  # a module, or a name in one
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names |= {node.value.split(":")[0]}  # "package.module:Class", as import_module takes it
    found = set()
    for name in names:
        parts = name.split(".")
        prefixes = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
        found |= {next((prefix for prefix in prefixes if prefix in known), "")}
    return found - {"", "simbench"}


def graph(root: Path) -> dict[str, set[str]]:
    known = modules(root)
    return {name: imports(name, path, known) - {name} for name, path in known.items()}


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def upward(edges: dict[str, set[str]]) -> list[str]:
    """Imports that do not run downwards, or run across a floor."""
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    return [
        f"{module} imports {other}"
        for module, others in sorted(edges.items())
        for other in sorted(others)
        if room(module) != room(other) and floor[room(other)] >= floor[room(module)]
    ]


def circles(edges: dict[str, set[str]]) -> list[set[str]]:
    """Files that import each other, by following imports from each file back to itself."""
    reached = {module: set(others) for module, others in edges.items()}
    while True:
        wider = {m: others.union(*(reached.get(o, set()) for o in others)) for m, others in reached.items()}
        if wider == reached:
            return [
                {m, *(o for o in found if m in reached.get(o, ()))}
                for m, found in wider.items()
                if m in found
            ]
        reached = wider


@pytest.fixture(scope="module")
def edges() -> dict[str, set[str]]:
    return graph(ROOT)


def test_no_import_runs_up(edges):
    assert upward(edges) == []


def test_no_file_imports_itself_by_way_of_others(edges):
    assert circles(edges) == []


def test_the_bench_imports_none_of_its_guests():
    known = {name for guest in GUESTS for name in guest_modules(guest)}
    found = {
        module: named
        for module, path in modules(ROOT).items()
        if (named := imports(module, path, known) & known)
    }
    assert found == {}


def guest_modules(guest: str) -> dict[str, Path]:
    return modules(ROOT / guest.removeprefix("simbench_"), guest)


def test_at_most_six_files_stand_at_the_root():
    assert len([path for path in (ROOT / "simbench").iterdir() if path.suffix == ".py"]) <= 6


def test_every_room_has_its_tests():
    rooms = {path.name for path in (ROOT / "simbench").iterdir() if (path / "__init__.py").exists()}
    assert rooms == {name for floor in FLOORS[1:-1] for name in floor}
    assert rooms <= {path.name for path in (ROOT / "tests").iterdir()}


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("files/location.py", "from simbench.cli import run"),
        ("training/train.py", "def later():\n    from simbench.estimator.registry import find"),
        ("log/feedback.py", "if TYPE_CHECKING:\n    import simbench.score.risk"),
        ("worlds/world.py", "from simbench.training import losses"),
        ("study/run.py", 'import_module("simbench.repro.steps")'),
    ],
)
def test_a_planted_upward_import_is_found(tmp_path, file, line):
    plant(tmp_path, file, line)
    assert len(upward(graph(tmp_path))) == 1


def test_a_planted_circle_is_found(tmp_path):
    plant(tmp_path, "files/location.py", "def later():\n    from simbench.files.write import write_whole")
    assert {"simbench.files.location", "simbench.files.write"} in circles(graph(tmp_path))


def plant(root: Path, file: str, line: str) -> None:
    """A copy of the house with a line more in one file."""
    for path in modules(ROOT).values():
        target = root / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path.read_text() + (f"\n{line}\n" if path.match(f"simbench/{file}") else ""))
