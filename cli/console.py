"""Rich's console, but for what it does where nobody reads any more: it would leave at once, as if at fault."""

from __future__ import annotations

from rich.console import Console as RichConsole


class Console(RichConsole):
    """Says so as every stream does, and lets `cli.app` leave."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError
