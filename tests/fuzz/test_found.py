"""What the fuzzer has found: each of these once ended in a traceback, or left something behind."""

import io
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from files import OF_RESULTS, Case
from inputs import PATIENT

LINES = (
    "tune naive --size 60 --replicates 1 --trials 1 --bias-level 1e308",
    "tune naive --size 60 --replicates 1 --trials 1 --out results",
    "tune naive --size 60 --replicates 1 --trials 1 --out log.parquet",
    "tune naive --size 60 --replicates 1 --trials 1 --seed 1000000000000",
    "tune naive --size 60 --replicates 9223372036854775808 --trials 1",
    "tune naive --size 60 --replicates 0 --trials 1",
    "tune naive --size 9223372036854775808 --replicates 1 --trials 1",
    "repro --quick --only risk --out col:",
    "repro --quick --only risk --out results/study.json",
    "repro --quick --only risk --out new --document results",
    "repro --quick --only risk --out new --document .",
    "repro --quick --only risk --out new --document log.csv/x",
    "downstream results --at 1e-320",
    "downstream results --at 1e12",
    "plan --target-rmse 0.4 --replicates 1 --bias-level nan",
    "plan --target-rmse 1e-320 --replicates 1",
    "export tuned new --diagnosis emb.npy",
    "export tuned new",
    "finetune log.csv --model bert --estimator naive --epochs 1 --out new --device 9223372036854775808",
    "diagnose log.csv --features col:emb_ --parameter epochs=2 --context activity --groups prompt_id",
    "finetune log.csv --model bert --estimator naive --epochs 1 --out new --learning-rate 1e12",
    "simulate --size 40 --features-dim 9223372036854775808 --out new.csv",
    "list",
    "simulate --size 40 --features-dim 2 --out .",
    "simulate --size 40 --features-dim 2 --out /",
    "diagnose log.csv --features col:emb_ --context activity --groups prompt_id --report .",
    "figure bias-variance results --to .",
    "report results --out .",
    "run --size 60 --replicates 1 --features-dim 2 --estimators naive --out new --responses-per-prompt 1",
)
STUDIES = (
    b"seed: 2024-99-99",
    b"worlds: [5]",
    b"worlds: 5",
    b"worlds: [[1]]",
    b"worlds: [{preset: 5}]",
    b"sizes: [60]\nestimators: [naive]\nparameters: {naive: {nope: 1}}",
    b"a: \xe9",
    b"a: " + b"9" * 5000,
    b"[" * 3000,
    b"a: &a [*a]",
)


@pytest.mark.parametrize("line", LINES)
def test_a_line_that_was_found_keeps_to_the_contract(line, breaches_of):
    assert not breaches_of(line.split(), PATIENT)


@pytest.mark.parametrize("content", STUDIES, ids=lambda content: repr(content[:20]))
def test_a_study_that_was_found_keeps_to_the_contract(content, breaches_of_case):
    assert not breaches_of_case(
        Case("study.yaml", content, ["run", "--study", "study.yaml", "--out", "new"]), PATIENT
    )


def without_columns() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros((40, 0), dtype=np.float32))
    return file.getvalue()


@pytest.mark.parametrize("content", [b"", without_columns()], ids=["empty", "no column"])
def test_a_file_of_features_without_any_keeps_to_the_contract(content, breaches_of_case):
    line = ["fit", "log.csv", "--features", "emb.npy", "--estimator", "naive", "--out", "new"]
    assert not breaches_of_case(Case("emb.npy", content, line), PATIENT)


@pytest.mark.parametrize("line", OF_RESULTS, ids=lambda line: line[0])
def test_lists_in_a_column_of_texts_keep_to_the_contract(line, valid, breaches_of_case):
    table, changed = pq.read_table(valid / "results" / "results.parquet"), io.BytesIO()
    lists = pa.array([[1.0]] * table.num_rows)  # the file still says of itself that these are texts
    pq.write_table(table.set_column(table.schema.get_field_index("world"), "world", lists), changed)
    assert not breaches_of_case(Case("results/results.parquet", changed.getvalue(), list(line)), PATIENT)


@pytest.mark.parametrize("name", ["risk/identities.parquet", "risk/results.parquet"])
def test_a_step_whose_table_lacks_a_column_keeps_to_the_contract(name, valid, breaches_of_case):
    table, changed = pq.read_table(valid / "repro" / name), io.BytesIO()
    pq.write_table(table.rename_columns([f"{column}_" for column in table.column_names]), changed)
    line = ["repro", "--quick", "--only", "risk", "--out", "repro"]
    assert not breaches_of_case(Case(f"repro/{name}", changed.getvalue(), line), PATIENT)


@pytest.mark.parametrize(("name", "column"), [("identities", "points"), ("results", "bias")])
def test_a_step_whose_table_holds_an_infinite_number_keeps_to_the_contract(
    name, column, valid, breaches_of_case
):
    table, changed = pd.read_parquet(valid / "repro" / "risk" / f"{name}.parquet"), io.BytesIO()
    table.assign(**{column: np.inf}).to_parquet(changed)
    line = ["repro", "--quick", "--only", "risk", "--out", "repro"]
    assert not breaches_of_case(Case(f"repro/risk/{name}.parquet", changed.getvalue(), line), PATIENT)


@pytest.mark.parametrize("key", ["text_column", "prompt_column"])
def test_a_card_of_embeddings_that_names_no_column_keeps_to_the_contract(key, valid, breaches_of_case):
    pytest.importorskip("transformers", reason="embeddings are made with the extra [llm]")
    card = json.loads((valid / "texts.card.json").read_text())
    del card["input"][key]
    line = ["fit", "log.csv", "--features", "texts.safetensors", "--estimator", "naive", "--out", "new"]
    assert not breaches_of_case(Case("texts.card.json", json.dumps(card).encode(), line), PATIENT)
