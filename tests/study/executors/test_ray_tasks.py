"""What is asked of Ray and made of its answers, with a stand-in for the cluster that runs tasks at once."""

from types import SimpleNamespace

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'simbench-rm[ray]'")

from ray.exceptions import RayTaskError, WorkerCrashedError

from simbench.errors import BadInput
from simbench.study.cell import Outcome
from simbench.study.config import StudyConfig, cells_of
from simbench.study.executors import ray as module
from simbench.study.executors.ray import Ray, run_on_node, versions
from simbench.study.shards import Shards
from simbench.worlds.presets import PRESETS

NAMES = ("sklearn:GaussianNB", "sklearn:BernoulliNB", "naive", "oracle", "ips")
WORLD = PRESETS["exclusive"].changed(test_size=100)
CELLS = cells_of(StudyConfig(worlds=(WORLD,), sizes=(50,), replicates=1, estimators=NAMES))


class Cluster:
    """Tasks are done when they are waited for, the last one first."""

    def __init__(self, *resources):
        self.resources, self.options, self.running, self.most = list(resources), {}, {}, 0
        self.answers = {}

    def nodes(self):
        return [
            {"Alive": alive, "Resources": {"CPU": cpus, "GPU": gpus}, "NodeManagerHostname": f"n{cpus}"}
            for alive, cpus, gpus in self.resources
        ]

    def remote(self, function):
        assert function is run_on_node
        return self

    def options(self, **options):
        raise NotImplementedError

    def wait(self, references, timeout):
        assert references == list(self.running) and timeout > 0
        return (references[-1:], []) if self.resources else ([], references)

    def get(self, reference):
        answer = self.answers.get(self.running.pop(reference).estimator, "ok")
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def cluster(monkeypatch):
    found = Cluster((True, 4, 0))

    def submit(cell, shards, folder, wanted):
        assert wanted == versions()
        found.running[reference := len(found.running) * 100 + CELLS.index(cell)] = cell
        found.most = max(found.most, len(found.running))
        return reference

    def options(**given):
        found.asked = given
        return SimpleNamespace(remote=submit)

    found.options = options
    monkeypatch.setattr(module, "ray", found)
    return found


def test_every_cell_is_a_task_that_is_tried_again_and_reserves_what_was_asked(cluster, tmp_path):
    outcomes = list(Ray(jobs=2, cpus_per_cell=0.5, gpus_per_cell=0.25).run(CELLS, Shards(tmp_path)))
    assert outcomes == ["ok"] * 5 and cluster.most == 2
    assert cluster.asked == {
        "num_cpus": 0.5, "num_gpus": 0.25, "max_retries": 3, "scheduling_strategy": "SPREAD",
    }  # fmt: skip
    assert list(Ray().run(CELLS, Shards(tmp_path))) == ["ok"] * 5 and cluster.most == 5


def test_a_lost_node_fails_its_cell_and_what_a_node_lacks_ends_the_run(cluster, tmp_path):
    cluster.answers["ips"] = WorkerCrashedError()
    outcomes = list(Ray().run(CELLS, Shards(tmp_path)))
    (lost,) = [outcome for outcome in outcomes if outcome != "ok"]
    assert isinstance(lost, Outcome) and lost.cell.estimator == "ips" and lost.status == "failed"
    assert lost.reason == "its worker died 4 times (WorkerCrashedError)"
    for cause, message in ((BadInput("other versions"), "other versions"), (ImportError("x"), "install it")):
        cluster.answers["ips"] = RayTaskError("f", "trace", cause)
        with pytest.raises(BadInput, match=message):
            list(Ray().run(CELLS, Shards(tmp_path)))
        cluster.running.clear()
    cluster.resources.clear()
    with pytest.raises(BadInput, match="no node with the 1 CPU of a cell is left"):
        list(Ray().run(CELLS, Shards(tmp_path)))


def test_a_cluster_without_room_is_refused(cluster, tmp_path):
    shards = Shards(tmp_path)
    Ray(cpus_per_cell=4).check("cpu", shards)
    cluster.resources = [(True, 2, 0), (False, 9, 9), (True, 1, 1)]
    Ray(cpus_per_cell=1, gpus_per_cell=1).check("cuda", shards)
    with pytest.raises(
        BadInput, match=r"has the 2 CPU and 1 GPU .* have 1 CPU, 1 GPU \(n1\), 2 CPU, 0 GPU \(n2\)"
    ):
        Ray(cpus_per_cell=2, gpus_per_cell=1).check("cuda", shards)
    with pytest.raises(BadInput, match="on Ray needs --gpus-per-cell"):
        Ray().check("cuda", shards)
    with pytest.raises(BadInput, match="this process's own"):
        Ray().check("cpu", Shards("memory://mine"))


def test_a_node_computes_with_the_commands_versions_in_its_folder(tmp_path, monkeypatch):
    shards = Shards(tmp_path / "out" / "shards")
    where = []
    monkeypatch.setattr(module, "run_alone", lambda cell, shards: where.append(module.os.getcwd()))
    for other in ({"simbench": "0"}, {"torch": "0"}):
        with pytest.raises(BadInput, match=r"and this command .*install the same"):
            run_on_node(CELLS[0], shards, str(tmp_path), {**versions(), **other})
    with pytest.raises(BadInput, match="does not see"):
        run_on_node(CELLS[0], shards, str(tmp_path), versions())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "study.json").write_text("{}")
    before = module.os.getcwd()
    run_on_node(CELLS[0], shards, str(tmp_path), versions())
    run_on_node(CELLS[0], shards, str(tmp_path / "not here"), versions())
    assert where == [str(tmp_path), before] and module.os.getcwd() == before
