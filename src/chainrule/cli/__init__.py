"""The command line: `chainrule COMMAND`.

commands      `main`, with all commands
  train       train, resume
  answers     predict
  describe    evaluate, info
  diagnose    diagnose
  explain     explain, check, draw
  reading     the options that say how a table is read
  showing     tables and counts as they are printed
  output      what is printed, and where
"""

from chainrule.cli.commands import main

__all__ = ["main"]
