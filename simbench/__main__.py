"""The command ``simbench``, also ``python -m simbench``: its process, signals and end."""

import os
import sys

from simbench.stops import end_at_once, end_within, exit_code, heed, is_stopped

GRACE = 2.0  # seconds in which the interpreter closes what is open


def command() -> None:
    """Run the command line in this process, and end the process whatever threads a plug-in left."""
    heed()
    code = 1
    try:
        from simbench.cli import main  # Ctrl-C while it is imported is heeded, too

        main()
    except KeyboardInterrupt:
        code = exit_code()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        end_within(GRACE, code)
    if not _all_is_read():
        code = 1
    if is_stopped():
        end_at_once(code)  # to take PyTorch down in order takes longer
    sys.exit(code)


def _all_is_read() -> bool:
    """Write what is still to be written; False if its reader has gone, as ``head`` does."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)  # else the interpreter would write once more, and complain
        os.dup2(nowhere, sys.stdout.fileno())
        return False
    return True


if __name__ == "__main__":
    command()
