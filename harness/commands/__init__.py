"""Subcommands of `hil`; each module is imported only when it is called."""
