"""Text with separators: every cell is text as it stands, an empty one is missing; errors name the line."""

import pytest

from simbench.errors import BadInput
from simbench.files.tables.read import read_table


def read(tmp_path, content, name="a.csv", **options):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(tmp_path / name, **options)


def columns_of(table):
    return {name: [None if cell != cell else cell for cell in table.frame[name]] for name in table.frame}


def test_cells_are_texts_as_they_stand(tmp_path):
    table = read(tmp_path, 'id,big,v,t,"a, b"\n00123,9007199254740993,1e5,NA,"x, ""y"""\n"",1,None,nan,\n')
    assert columns_of(table) == {
        "id": ["00123", None],
        "big": ["9007199254740993", "1"],
        "v": ["1e5", "None"],
        "t": ["NA", "nan"],
        "a, b": ['x, "y"', None],
    }
    assert not table.is_typed and len(table) == 2 and "v" in table and "w" not in table


@pytest.mark.parametrize(("sign", "name"), [(",", "a.csv"), (";", "a.csv"), ("\t", "a.tsv"), ("|", "a.csv")])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_separators_and_line_ends_are_recognised(sign, name, end, tmp_path):
    lines = [f'a{sign}"b{sign}{sign}{sign} ,;|"{sign}c', f'1{sign}"x{sign}y"{sign}', "", f"2{sign}z{sign}3"]
    table = read(tmp_path, end.join(lines), name)
    assert list(columns_of(table).values()) == [["1", "2"], [f"x{sign}y", "z"], [None, "3"]]


def test_a_separator_may_be_named(tmp_path):
    assert list(read(tmp_path, "a;b~c\n1;2~3\n", separator="~").frame) == ["a;b", "c"]
    assert list(read(tmp_path, 'a;"b,,,,";c\n1;2;3\n').frame) == ["a", "b,,,,", "c"]  # within quotation marks
    assert list(read(tmp_path, "a\tb;c\n1\t2;3\n", separator="tab").frame) == ["a", "b;c"]
    with pytest.raises(BadInput, match=r"a\.csv: comma and semicolon stand equally often .* --separator"):
        read(tmp_path, "a,b;c\n")
    for wrong in (";;", '"', "\n", "é", ""):
        with pytest.raises(BadInput, match="the separator must be one sign"):
            read(tmp_path, "a,b\n1,2\n", separator=wrong)


def test_one_column_needs_no_separator(tmp_path):
    assert columns_of(read(tmp_path, "a\n1\n2\n")) == {"a": ["1", "2"]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("\n\r\n", "is empty"),
        ("a,b\n", "holds no responses"),
        ("a,b\n1,2\n\n3\n", r", row 1: has 1 cells, the first line 2 \(the separator read is the comma\)"),
        ("a;b\n1;2;3\n", r", row 0: has 3 cells, the first line 2 \(the separator read is the semicolon\)"),
        ("a,b,a\n1,2,3\n", "has two columns of the name 'a': rename one"),
        ('a,b\n1,x\n2,"y\n3,4\n', r", row 1 \(line 3\): a quotation mark is opened and never closed"),
        (b"PAR1xxxx", "is no text but a parquet file: give it the ending that says so"),
        (b"PK\x03\x04xx", "is no text but a zip archive"),
        ("a\0,b\n1,2\n", "is no text, or text in UTF-16 without its mark: then say --encoding utf-16"),
    ],
)
def test_what_is_wrong_is_one_sentence(content, said, tmp_path):
    with pytest.raises(BadInput, match=rf"a\.csv ?{said}") as caught:
        read(tmp_path, content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_places_are_rows_and_lines_as_people_count_them(end, tmp_path):
    table = read(tmp_path, end.join(["a,b", f'1,"x{end}y"', "", "3,4", "5,6"]))
    path = tmp_path / "a.csv"
    assert table.place(0) == f"{path}, row 0 (line 2)"
    assert table.place(1, "b") == f"{path}, row 1 (line 5), column 'b'"
    assert table.place(2, "a") == f"{path}, row 2 (line 6), column 'a'"
    hidden = read(tmp_path, 'a,b\n5" screen,1\n6",2\n7",3\n')  # marks that are letters
    assert len(hidden) == 3 and hidden.place(1) == f"{path}, row 1"


def test_a_column_that_is_not_there_is_named_with_the_nearest(tmp_path):
    table = read(tmp_path, "clicked,xyz\n1,2\n")
    with pytest.raises(BadInput, match=r"a\.csv has no column 'clickd'\. Did you mean 'clicked'\?"):
        table.column("clickd")
    with pytest.raises(BadInput, match=r"has no column 'q'\. It has: clicked, xyz\.$"):
        table.column("q")
    many = read(tmp_path, ",".join([f"c{number}" for number in range(40)] + ["y" * 99]) + "\n" + "1," * 40)
    with pytest.raises(BadInput, match=r"It has: c0, .*, c29 and 11 more\.$"):
        many.column("q")


def test_numbers_of_rows_have_no_separators(tmp_path):
    """So that people find them by searching."""
    table = read(tmp_path, "a\n" + "1\n" * 1500)
    assert table.place(1233, "a") == f"{tmp_path / 'a.csv'}, row 1233 (line 1235), column 'a'"
