"""`passbox`, and `python -m passbox`: the command, from its first import on."""

import sys


def main() -> None:
    """Run the command that was typed, and leave with its exit code."""
    try:
        from .cli.app import main as command

        command()
    except KeyboardInterrupt:  # pressed before there was anything to explain it
        sys.stderr.write("stopped; type it again\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
