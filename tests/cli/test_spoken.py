"""What code from outside prints in the process of a command does not mix with the command's own output."""

import pytest

from simbench.cli import main
from simbench.cli.spoken import said_by

NOISY = """
from simbench_estimators.naive import Naive

class Noisy(Naive):
    name = "noisy"

    def fit_replicates(self, *arguments, **options):
        print("fitting")
        print("no end of line", end="")
        return super().fit_replicates(*arguments, **options)
"""


def test_lines_go_to_stderr_under_the_name_of_who_prints_them(capsys):
    with pytest.raises(ZeroDivisionError), said_by("mi\x07ne"):
        print("one\ntwo", "and more")
        print("\x1b[2Jthree", end="")
        raise ZeroDivisionError
    print("own")
    said = capsys.readouterr()
    assert said.out == "own\n" and said.err == "".join(
        f"[mi\\x07ne] {line}\n" for line in ("one", "two and more", "\\x1b[2Jthree")
    )


def test_fit_prints_its_sentence_alone_on_stdout(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(NOISY)
    rows = "".join(f"{i},{i % 3 % 2},{i % 7}\n" for i in range(60))
    (tmp_path / "log.csv").write_text(f"prompt_id,feedback,x0\n{rows}")
    log = ["log.csv", "--features", "col:x", "--feedback", "feedback", "--groups", "prompt_id"]
    with pytest.raises(SystemExit) as end:
        main(["fit", *log, "--estimator", "mine.py:Noisy", "--out", "model"])
    said = capsys.readouterr()
    assert end.value.code == 0, said.err
    assert "mine.py:Noisy, told nothing: 60 responses" in said.out and "fitting" not in said.out
    assert "[mine.py:Noisy] fitting\n[mine.py:Noisy] no end of line\n" in said.err
