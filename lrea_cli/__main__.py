"""`python -m lrea_cli` and the console script `lrea`."""

from lrea_cli.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
