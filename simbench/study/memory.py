"""States how much memory a study takes, before it runs."""

from simbench.estimator.registry import configured
from simbench.study.cell import Cell
from simbench.study.config import StudyConfig, cells_of
from simbench.study.guests.kinds import find
from simbench.training.train import chunk_of_shape
from simbench.worlds.responses import Synthetic


def memory_statement(config: StudyConfig) -> str:
    """One line: the memory budget of replicates that train at once, and how many fit if not all do."""
    text = f"memory: replicates that train at once take at most {config.memory_budget.human_readable()}"
    least: dict[int, Cell] = {}
    for cell in cells_of(config):
        kind = find(cell.estimator)
        estimator = configured(cell.estimator, cell.parameters, find)
        parameters = estimator.get_params()
        responses = cell.world.responses
        if isinstance(responses, Synthetic) and "hidden" in parameters:
            signals = len(cell.world.signal_names) if "signals" in kind.needs | kind.optional else 0
            shape = (cell.size, responses.n_features, len(estimator.networks), signals)
            fits = chunk_of_shape(estimator, *shape, config.memory_budget)
            least.setdefault(max(1, fits // parameters.get("restarts", 1)), cell)
    if least and min(least) < config.replicates:
        cell = least[min(least)]
        text += f": {min(least)} of {config.replicates} for {cell.estimator} at {cell.size:,} responses"
    return f"{text} (--memory); features, feedback and predictions come on top"
