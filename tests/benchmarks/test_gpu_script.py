"""benchmarks/gpu.py runs whole on a CPU, and needs no more than it says."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"
REFUSED = (
    "safetensors",
    "typer",
    "rich",
    "matplotlib",
    "pyarrow",
    "yaml",
    "transformers",
)


@pytest.fixture(scope="module")
def gpu():
    spec = importlib.util.spec_from_file_location("gpu_script", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["gpu_script"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_every_table_but_the_profile_is_printed_on_a_cpu(gpu, capsys):
    gpu.main(["--device", "cpu", "--small", "--tables", "ceilings,heads,estimators,agreement,study"])
    text = capsys.readouterr().out
    assert len(re.findall(r"^\| (1|4) \| (fp32|bf16) \|", text, re.M)) == 4
    assert "12 estimators x 2 replicates x 2 epochs" in text
    (gap,) = re.findall(r"fp32 here - fp32 on the CPU \| (\S+) \| 1e-4", text)
    assert 0 <= float(gap) < 1e-4
    (rounded,) = re.findall(r"bf16 here - fp32 on the CPU \| (\S+)", text)
    assert 1e-5 < float(rounded) < 0.1


def test_the_encoder_is_timed_or_left_out_with_a_sentence(gpu, capsys, monkeypatch):
    pytest.importorskip("transformers")
    arguments = ["--device", "cpu", "--small", "--tables", "encoder"]
    gpu.main(arguments)
    assert re.search(r"tokens/s \| [\d,]+ \|", capsys.readouterr().out)
    monkeypatch.setitem(sys.modules, "transformers", None)
    gpu.main(arguments)
    assert "transformers is not installed" in capsys.readouterr().out


def test_without_a_gpu_it_says_how_to_try_it(gpu, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit, match="--device cpu --small"):
        gpu.main([])


def test_it_imports_what_it_states():
    """In an interpreter that refuses everything else that the project depends on."""
    program = (
        "import sys, runpy\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {REFUSED!r}:\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "sys.argv = ['gpu.py', '--device', 'cpu', '--small', '--tables', 'ceilings,encoder']\n"
        f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "transformers is not installed" in done.stdout
