"""Whatever a file holds, the command that reads it keeps to the contract."""

from budget import share
from contract import TooLongError
from files import cases
from hypothesis import event, given, reject
from hypothesis import strategies as st


@share(0.5)
@given(st.data())
def test_any_file_ends_in_one_sentence(valid, breaches_of_case, data):
    case = data.draw(cases(valid))
    event(f"{case.line[0]} {case.name}")
    try:
        found = breaches_of_case(case)
    except TooLongError:
        reject()
    assert not found, (case, found)
