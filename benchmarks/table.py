"""A finished study as a markdown document: one table a world and bias level.

python benchmarks/table.py RESULTS_FOLDER --title TITLE > benchmarks/NAME.md
"""

import argparse
import json
import math
from pathlib import Path

import pandas as pd

from simbench.study.table import read_table

METRICS = {
    "bias2": "bias²",
    "variance": "variance",
    "mse": "MSE",
    "excess_bias2": "excess bias²",
    "efficiency": "efficiency",
    "auroc": "AUROC",
    "effective_sample_share": "effective sample",
    "largest_weight": "largest weight",
    "negative_weight_share": "negative weights",
    "swapped_share": "swapped",
    "restart_spread": "restarts apart",
    "restart_rank_agreement": "restarts' least rank correlation",
}


def cell(rows: pd.DataFrame, metric: str) -> str:
    """A value with its interval, where there is one."""
    if metric not in rows.index:
        return ""
    row = rows.loc[metric]
    digits = 1 if metric == "largest_weight" else 4 if metric in ("bias2", "variance", "mse") else 3
    digits = 4 if metric == "excess_bias2" else digits
    if math.isnan(row.value):
        return ""
    text = f"{row.value:.{digits}f}"
    return text if math.isnan(row.low) else f"{text} [{row.low:.{digits}f}, {row.high:.{digits}f}]"


def document(folder: Path, title: str) -> str:
    """The whole document."""
    table, study = read_table(folder), json.loads((folder / "study.json").read_text())
    config = study["config"]
    lines = [f"# {title}", ""]
    lines += [
        f"simbench {study['simbench']}, torch {study['versions']['torch']}, {config['replicates']} "
        f"replicates, seed {config['seed']}, {config['level']:.0%} intervals by bootstrap over replicates; "
        f"verdict: excess bias² over the oracle's against a margin of {config['margin']:g}²."
    ]
    shown = {name: text for name, text in METRICS.items() if (table.metric == name).any()}
    for (world, size, level), here in table.groupby(["world", "size", "bias_level"], sort=False):
        lines += ["", f"## {world}, {size:,} responses, bias level {level:g}", ""]
        lines += ["| estimator | told | " + " | ".join(shown.values()) + " | verdict |"]
        lines += ["|---" * (3 + len(shown)) + "|"]
        for (name, knows), rows in here.groupby(["estimator", "knows"], sort=False):
            rows = rows.set_index("metric")
            first = rows.iloc[0]
            cells = [cell(rows, metric) for metric in shown]
            verdict = rows.loc["excess_bias2"].verdict if "excess_bias2" in rows.index else ""
            if first.status != "ok":
                verdict = f"{first.status}: {first.reason}"
            lines.append(f"| {name} | {knows} | {' | '.join(cells)} | {verdict} |")
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--title", required=True)
    options = parser.parse_args()
    print(document(options.folder, options.title), end="")


if __name__ == "__main__":
    main()
