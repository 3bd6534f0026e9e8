"""`python -m passbox`: the same as the command."""

from .cli.app import main

main()
