"""Tables are laid out for the width that there is."""

import io

from rich.console import Console

from simbench.cli.layout import Column, chosen, drawn, packed, stacked, width_of, with_told, without_intervals

MSE = Column("MSE", (".0120 [.0095, .0145] *", "–"))


def test_an_interval_goes_below_its_value_or_away_and_the_mark_stays():
    assert stacked(MSE).cells == (".0120 *\n[.0095, .0145]", "–")
    assert without_intervals(MSE).cells == (".0120 *", "–")
    assert without_intervals(Column("AUROC", (".700±.100", "–"))).cells == (".700", "–")


def test_a_width_is_that_of_the_longest_line_but_of_what_wraps():
    assert width_of([MSE]) == 22 and width_of([stacked(MSE)]) == 14
    assert width_of([MSE, MSE]) == 22 + 2 + 22
    assert Column("verdict", ("failed: " + "x" * 100,), wraps=True).width == 32
    assert Column("名", ("名名名",)).width == 6  # characters that take two places


def test_the_first_layout_that_fits_is_taken_else_the_last():
    layouts = [[MSE, MSE], [stacked(MSE), MSE], [without_intervals(MSE)]]
    assert [chosen(layouts, width) for width in (46, 45, 38, 37, 1)] == [
        *(layouts[0], layouts[1], layouts[1], layouts[2], layouts[2])
    ]


def test_columns_go_on_in_a_further_table_below():
    names = Column("estimator", ("naive",), right=False)
    columns = [Column(str(number), (".1234",)) for number in range(5)]
    tables = packed(names, columns, 9 + 2 * 7)
    assert [[column.title for column in table] for table in tables] == [
        *(["estimator", "0", "1"], ["estimator", "2", "3"], ["estimator", "4"])
    ]
    assert len(packed(names, columns, 1)) == 5  # each has one at least


def test_what_was_told_stands_below_the_name_everywhere_or_where_it_tells_two_apart():
    names, told = ["ips", "ips", "naive"], ["a", "b", "nothing"]
    assert with_told(names, told).cells == ("ips\n  a", "ips\n  b", "naive\n  nothing")
    assert with_told(names, told, everywhere=False).cells == ("ips\n  a", "ips\n  b", "naive")
    assert with_told(names[1:], told[1:], everywhere=False).title == "estimator"


def test_cells_are_no_markup_and_a_long_reason_wraps():
    reason = "failed: [red]" + " and so on" * 20
    console = Console(width=60, record=True, file=io.StringIO())
    console.print(
        drawn([Column("estimator", ("a" * 40,), right=False), Column("verdict", (reason,), wraps=True)])
    )
    text = console.export_text()
    assert "a" * 40 in text and "[red]" in text and max(map(len, text.splitlines())) <= 60
