"""``simbench diagnose``: says whether a reward fitted on a log can be believed."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from simbench.cli.log_options import FeaturesOption, LogOptions, say_left_out
from simbench.cli.premises import PremiseOptions
from simbench.cli.printable import print
from simbench.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class DiagnoseOptions(PremiseOptions, LogOptions):
    """Arguments of ``simbench diagnose``."""

    features: FeaturesOption
    report: Annotated[
        Path | None,
        typer.Option(help="File to write a one-page HTML report to (default: no report)."),
    ] = None


def diagnose(options: DiagnoseOptions) -> None:
    """Say, without any truth, whether a reward fitted on your log can be believed."""
    from simbench.files.write import write_whole
    from simbench.log.user_log import read_log
    from simbench.reward.diagnosis.diagnose import diagnose as examine
    from simbench.reward.diagnosis.diagnose import estimator_with
    from simbench.reward.diagnosis.report import as_html, as_text

    estimator_with(**options.parameters())  # said before anything is read
    options.check(options.labels)
    if options.report is not None and options.report.is_dir():
        raise BadInput(f"--report {options.report} is a folder: give the file to write, such as report.html.")
    user = read_log(options.table(), options.columns(options.features))
    say_left_out(options.features, user.left_out)
    asked = options.read(user.table, user.log)
    found = examine(user.log, **options.parameters())
    print(as_text(found))
    asked.answer(found.log, found, options.parameters())
    if options.report is not None:
        page = as_html(found, Path(options.log).name)
        write_whole(options.report, lambda to: to.write_text(page, encoding="utf-8"))
        print(f"report: {options.report}", file=sys.stderr)
