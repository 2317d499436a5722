"""What it costs to run an estimator from outside in a process of its own: to start, and for each fit.

``python benchmarks/guests.py`` prints processor seconds, which a busy machine changes little, and memory.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from simbench.log.feedback import FeedbackLog
from simbench.study.guests import kinds, process

GUEST = '''
import numpy as np
from simbench import Estimator

class Constant(Estimator):
    """Fits nothing: what is measured is the way there and back."""
    name = "constant"

    def fit_replicates(self, log, replicates=None):
        self.count = log.n_replicates
        return self

    def predict(self, features):
        return np.full((self.count, len(features)), 0.5)
'''
FITS = 20
SHAPES = ((20, 10_000, 32), (20, 100_000, 64))  # replicates, responses, features


def processor_seconds(one: psutil.Process) -> float:
    """Processor time of a process and of its children that have ended."""
    return sum(one.cpu_times()[:4])


def main() -> None:
    """Measure, and print a line for each figure."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "constant.py")
        path.write_text(GUEST)
        start = time.perf_counter()
        kind = kinds.find(f"{path}:Constant")
        wall = time.perf_counter() - start
        host = psutil.Process(process.hosting().process.pid)
        print(f"start: {processor_seconds(host):.1f} s of processor, {wall:.1f} s by the clock")
        print(f"memory while it waits: {host.memory_full_info().uss / 2**20:.0f} MB")
        me, rng = psutil.Process(), np.random.default_rng(0)
        for replicates, n, d in SHAPES:
            features = rng.standard_normal((n, d), dtype=np.float32)
            feedback = (rng.random((replicates, n)) < 0.3).astype(np.float32)
            log = FeedbackLog(features, feedback, np.arange(n))
            before, start = processor_seconds(host) + processor_seconds(me), time.perf_counter()
            for _ in range(FITS):
                kind().fit_replicates(log).predict(features[:5000])
            process.hosting().session.end()
            spent = processor_seconds(host) + processor_seconds(me) - before
            wall = time.perf_counter() - start
            print(
                f"fit and predict, {replicates} replicates of {n:,} x {d}: {1000 * spent / FITS:.0f} ms of "
                f"processor, {1000 * wall / FITS:.0f} ms by the clock"
            )


if __name__ == "__main__":
    main()
