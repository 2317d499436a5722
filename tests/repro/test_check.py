"""The check fails on a tampered document, on tampered values, and on a rerun that came out otherwise."""

import json

import numpy as np
import pytest

from simbench.cli import main
from simbench.errors import BadInput
from simbench.repro import check
from simbench.repro.claims import CLAIMS
from simbench.repro.document import Reproduction, read, render, unfilled, write
from simbench.repro.findings import Finding, Table
from simbench.repro.quantities import Quantity, exact, mean_of
from simbench.repro.verdicts import ClaimVerdict, Condition, Place
from simbench.study import library

MADE = {"simbench": "0", "torch": "2", "python": "3", "machine": "m", "form": "full", "data": "twin"}


def reproduced(verdict=ClaimVerdict.holds, *, quantities=None, is_exact=True, places=()):
    """A reproduction of one claim."""
    quantities = quantities or {
        "bias": exact(0.25),
        "mse": mean_of(np.random.default_rng(0).normal(1, 0.1, 20)),
    }
    slots = tuple(f"{{{key}}}" for key in quantities)
    finding = Finding(
        key="1",
        claim="It is so.",
        command="simbench repro",
        verdict=verdict,
        because=f"It came to {slots[0]}.",
        is_exact=is_exact,
        places=places,
        quantities=quantities,
        tables=(Table(title="All", columns=tuple(quantities), rows=(slots,)),),
    )
    return Reproduction(environment={**MADE, "seconds": {"risk": 60.0}}, level=0.95, findings=(finding,))


def test_the_document_survives_the_disk_and_has_no_unfilled_slot(tmp_path):
    made = reproduced()
    write(made, tmp_path / "doc.md", tmp_path / "doc.json")
    text = (tmp_path / "doc.md").read_text()
    assert text == render(read(tmp_path / "doc.json"))
    assert unfilled(text) == [] and "0.25" in text and "**holds**" in text


@pytest.mark.parametrize("tamper", [lambda text: text.replace("0.25", "0.24"), lambda text: text + "More.\n"])
def test_a_tampered_document_is_found(tamper):
    made = reproduced()
    assert check.compare_document(render(made), made) == []
    assert len(check.compare_document(tamper(render(made)), made)) == 1


def test_a_rerun_that_agrees():
    outcome = check.compare(reproduced(), reproduced())
    assert outcome.disagreements == () and outcome.compared == 2


def test_an_exact_verdict_must_be_the_same():
    found = check.compare(reproduced(), reproduced(ClaimVerdict.fails)).disagreements
    assert [part.where for part in found] == ["verdict of claim 1"]
    assert check.compare(reproduced(is_exact=False), reproduced(ClaimVerdict.fails)).disagreements == ()


def test_a_claim_that_the_rerun_could_not_test_is_skipped():
    assert check.compare(reproduced(), reproduced(ClaimVerdict.untested)).disagreements == ()


def small(threshold=0.5):
    """A place that holds where the bias lies below the threshold: the stored one is .25."""
    return (
        Place(name="p", conditions=(Condition(key="bias", bound="value", above=False, threshold=threshold),)),
    )


@pytest.mark.parametrize(
    ("verdict", "threshold", "wrong"),
    [
        (ClaimVerdict.holds, 0.5, 0),
        (ClaimVerdict.fails, 0.5, 1),  # edited
        (ClaimVerdict.holds, 0.1, 1),
        (ClaimVerdict.fails, 0.1, 0),
    ],
)
def test_an_edited_verdict_is_found_in_a_statistical_claim_too(verdict, threshold, wrong):
    made = reproduced(verdict, is_exact=False, places=small(threshold))
    assert len(check.compare_verdicts(made)) == wrong


def test_a_verdict_without_places_can_only_be_untested():
    assert len(check.compare_verdicts(reproduced(ClaimVerdict.holds))) == 1
    assert check.compare_verdicts(reproduced(ClaimVerdict.untested)) == []


def test_a_condition_on_what_is_not_stored_is_found():
    made = reproduced(places=small(), quantities={"other": exact(0.25)})
    (found,) = check.compare_verdicts(made)
    assert "not stored" in found.rerun


def test_an_edited_condition_is_found_by_the_rerun():
    stored = reproduced(places=small(0.9), is_exact=False)
    (found,) = check.compare(stored, reproduced(places=small(0.5), is_exact=False)).disagreements
    assert (found.stored, found.rerun) == ("value below 0.9", "value below 0.5")


def test_more_luck_than_an_interval_leaves_is_found():
    made = reproduced(places=small())
    lucky = made.model_copy(
        update={"findings": tuple(f.model_copy(update={"luck": 0.5}) for f in made.findings)}
    )
    assert [part.where for part in check.compare_verdicts(lucky)] == ["luck of claim 1"]


@pytest.mark.parametrize(("value", "agrees"), [(0.25, True), (0.25 + 1e-8, True), (0.2501, False)])
def test_an_exact_value_must_agree_to_six_digits(value, agrees):
    found = check.compare(reproduced(), reproduced(quantities={"bias": exact(value)}))
    assert (found.disagreements == ()) is agrees


def test_rounding_noise_agrees_with_rounding_noise():
    assert check.agree(exact(1.3e-15), exact(4e-16), 1e-6)
    assert not check.agree(exact(1.3e-15), exact(1e-3), 1e-6)


def test_statistical_values_may_differ_by_their_error_and_no_more():
    stored = Quantity(value=1.0, error=0.1, n=20)
    rerun = {distance: Quantity(value=1 + distance, error=0.2, n=5) for distance in (0.5, 1.5)}
    assert check.agree(stored, rerun[0.5], 1e-3)
    assert not check.agree(stored, rerun[1.5], 1e-3)


def test_false_alarms_are_as_rare_as_stated():
    """Independent logs, 4,000 pairs at an error rate of .05: within the binomial bound at 1e-6."""
    rng = np.random.default_rng(0)
    alarms = sum(
        not check.agree(mean_of(rng.normal(size=20), digits=9), mean_of(rng.normal(size=5), digits=9), 0.05)
        for _ in range(4000)
    )
    assert 133 <= alarms <= 268  # 200, plus and minus 4.9 standard deviations


def test_speeds_are_not_compared():
    fast, slow = (reproduced(quantities={"s": Quantity(value=v, kind="speed")}) for v in (1.0, 99.0))
    assert check.compare(fast, slow).compared == 0


def test_damaged_values_are_said_so(tmp_path):
    path = tmp_path / "values.json"
    with pytest.raises(BadInput, match="run simbench repro first"):
        read(path)
    write(reproduced(), tmp_path / "doc.md", path)
    value = json.loads(path.read_text())
    value["findings"][0]["verdict"] = "perhaps"
    path.write_text(json.dumps(value))
    with pytest.raises(BadInput, match="damaged"):
        read(path)


def test_the_command_checks_a_document_of_its_own(tmp_path, capsys):
    """A document agrees with a rerun; tampered, it does not, and the exit code says so."""
    document = tmp_path / "doc.md"
    common = ["repro", "--only", "risk", "--quick", "--document", str(document)]
    main_ends(0, [*common, "--out", str(tmp_path / "out")])
    assert "could not be tested here" in document.read_text()  # the steps that were not run
    main_ends(0, [*common, "--check"])
    assert "0 disagreements" in capsys.readouterr().out
    document.write_text(document.read_text().replace("does not hold", "holds"))
    main_ends(1, [*common, "--check"])
    assert "the document has" in capsys.readouterr().out


def main_ends(code, arguments):
    """Run the command line; it ends with this exit code."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert (ended.value.code or 0) == code


def test_the_document_of_the_repository_is_what_its_values_say():
    """Cheap, and in every test run: no number of it was typed. The rerun is `simbench repro --check`."""
    stored = read(library.folder() / "paper_repro.json")
    root = library.checkout()
    assert root is not None
    text = (root / "paper_repro.md").read_text()
    assert [str(part) for part in check.compare_document(text, stored)] == []
    assert [str(part) for part in check.compare_verdicts(stored)] == []
    assert unfilled(text) == []
    assert {finding.key for finding in stored.findings} == {claim.key for claim in CLAIMS}
