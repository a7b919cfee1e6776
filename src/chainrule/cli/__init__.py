"""The command line: `chainrule COMMAND`.

commands      `main`, and the commands that train, use and describe a model
  answers     predict
  diagnose    diagnose
  explain     explain, check, draw
  reading     the options that say how a table is read
  output      what is printed, and where
"""

from chainrule.cli.commands import main

__all__ = ["main"]
