"""Peak memory of whole studies against the number of responses.

Every size is a process of its own: a world of 64 features, 8 replicates, `naive` and `implicitrm` for
two epochs (memory does not grow with epochs). A straight line is fitted to the peaks.

    python benchmarks/memory.py [--sizes 125000,250000,500000,1000000]
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from pathlib import Path

import numpy as np
from scale import Peak

REPLICATES, FEATURES = 8, 64


def study(size: int, out: str) -> None:
    """Run in a child process; leaves its peak resident size and seconds in ``out``."""
    from simbench.study.config import StudyConfig
    from simbench.study.run import run
    from simbench.worlds.presets import PRESETS

    short = {"epochs": 2, "batch_size": 4096}
    config = StudyConfig(
        worlds=(PRESETS["exclusive"].changed(n_features=FEATURES),),
        estimators=("naive", "implicitrm"),
        parameters={"naive": short, "implicitrm": short},
        sizes=(size,),
        replicates=REPLICATES,
    )
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, Peak() as peak:
        run(config, Path(folder) / "study")
    seconds = time.perf_counter() - start
    Path(out).write_text(json.dumps({"peak": peak.found["all"], "seconds": seconds}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", default="125000,250000,500000,1000000")
    sizes = [int(size) for size in parser.parse_args().sizes.split(",")]
    context = multiprocessing.get_context("spawn")
    peaks = []
    print(f"| responses x {FEATURES}, {REPLICATES} replicates | peak, GB | seconds |\n|---|---|---|")
    for size in sizes:
        with tempfile.NamedTemporaryFile() as out:
            process = context.Process(target=study, args=(size, out.name))
            process.start()
            process.join()
            found = json.loads(Path(out.name).read_text())
        peaks.append(found["peak"])
        print(f"| {size:,} | {peaks[-1]:.2f} | {found['seconds']:.0f} |", flush=True)
    if len(sizes) > 2:
        slope, base = np.polyfit(sizes, peaks, 1)
        off = np.max(np.abs(np.polyval((slope, base), sizes) / peaks - 1))
        print(f"\nline: {base:.2f} GB + {slope * 1e9:.0f} bytes a response; largest deviation {off:.0%}")


if __name__ == "__main__":
    main()
