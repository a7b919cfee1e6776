"""`python -m chainrule`: the command line."""

from chainrule_command import main

main()
