"""Whatever flags and words a command is given, it keeps to the contract."""

from budget import share
from contract import TooLongError
from grammar import lines
from hypothesis import event, given, reject


@share(0.5)
@given(lines())
def test_any_flags_end_in_one_sentence(breaches_of, line):
    event(line[0])
    try:
        found = breaches_of(line)
    except TooLongError:
        reject()
    assert not found, (line, found)
