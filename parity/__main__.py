"""`python -m parity`: the same as the `parity` command."""

from parity.cli.main import main

__all__: list[str] = []

if __name__ == "__main__":
    raise SystemExit(main())
