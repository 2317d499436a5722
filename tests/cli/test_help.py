"""Help is fast, and says what every option does when it is left out."""

import dataclasses
import importlib
import subprocess
import sys

import pytest
import typer

from simbench.cli import app
from simbench.cli.run import StudyOptions
from simbench.study.config import StudyConfig
from simbench.study.figures import names
from simbench.study.file import DEFAULT
from simbench.worlds.responses import RatingLink

HEAVY = (  # not pydantic: newer versions of typer import it themselves
    *("torch", "numpy", "pandas", "scipy", "sklearn", "matplotlib", "yaml"),
    *("simbench.study", "simbench.worlds", "simbench.training", "simbench.log", "simbench.estimator"),
)
IMPORTED = f"""
import sys
from simbench.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print("IMPORTED", *(name for name in {HEAVY} if name in sys.modules))
"""


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["simulate", "--help"], ["--version"]])
def test_nothing_heavy_is_imported_for_it(arguments):
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1].split() == ["IMPORTED"]


def commands(group=None, path=()):
    """Every command with its full name."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


@pytest.mark.parametrize("name", [name for name, _ in commands()])
def test_every_command_is_described_and_every_option_says_its_default(name):
    command = dict(commands())[name]
    first = (command.help or "").splitlines()[0]
    assert first.endswith((".", "?", "it.")) and first[0].isupper()
    for option in command.params:
        said = option.help or ""
        assert "[" not in said, "typer's help would swallow it as markup"
        shown = option.required or (option.default is not None and not isinstance(option.default, bool))
        is_force = option.name == "force"
        assert said and (shown or "(default" in said or is_force), f"{name} --{option.name}: {said!r}"


def test_the_stated_defaults_are_those_of_a_study():
    config, real = StudyConfig(), RatingLink()
    said = {
        field.name: field.type.__metadata__[0].help
        for group in (StudyOptions, *options_of("world_options"), *options_of("run"))
        for field in dataclasses.fields(group)
    }
    assert f"(default {DEFAULT['replicates']};" in said["replicates"]
    assert said["replicates"].endswith(f"else {config.replicates}).")
    assert f"(default {DEFAULT['draws']};" in said["worlds"] and said["worlds"].endswith("else 1).")
    assert config.draws == 1
    assert f"(default {config.seed})" in said["seed"]
    assert f"(default {config.margin})" in said["margin"]
    assert f"(default {config.label_share})" in said["label_share"]
    assert f"(default {config.bias_levels[0]})" in said["bias_level"]
    assert f"(default {config.worlds[0].name})" in said["world"]
    assert f"(default {','.join(config.grant).replace(' ', '-')})" in said["grant"]
    assert f"(default {config.device})" in said["device"]
    assert f"(default {config.precision})" in said["precision"]
    assert f"(default {config.memory_budget.human_readable().replace('.0', '')})" in said["memory"]
    assert "the oracle and nine others" in said["estimators"] and len(config.estimators) == 10
    assert f"(default {real.slope})" in said["slope"] and f"(default {real.link}:" in said["link"]
    world = config.worlds[0]
    own = {
        "reward": ("base_rate",),
        "behaviour": ("action_rate", "confounding"),
        "channel": ("misclick", "signals", "signal_dependence"),
        "responses": ("n_features", "responses_per_prompt"),
    }
    for part, settings in own.items():
        for name in settings:
            default = f"(default {getattr(getattr(world, part), name):g} in most worlds)"
            assert default in said[name].replace("\n", " ")
    assert f"(default {world.reward.kind})" in said["reward"]


def options_of(module: str) -> list[type]:
    """The groups of options that a module of the command line defines."""
    found = vars(importlib.import_module(f"simbench.cli.{module}")).values()
    return [kind for kind in found if dataclasses.is_dataclass(kind) and kind.__module__.endswith(module)]


def test_the_help_of_figure_lists_no_figure_by_hand():
    command = dict(commands())["figure"]
    said = " ".join(option.help or "" for option in command.params)
    assert "simbench list figures" in said and not any(f" {name}" in said for name in names())
