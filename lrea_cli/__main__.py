"""`python -m lrea_cli` and the console script `lrea`."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; Ctrl-C while it is still being loaded ends it without a traceback, too."""
    try:
        from lrea_cli.cli import main as run
    except KeyboardInterrupt:
        print("Stopped by Ctrl-C: nothing had begun", file=sys.stderr)
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
