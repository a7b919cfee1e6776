"""Grade a calculation by hand, and name the slip that explains each wrong number.

grader        `check`: every claim graded (see `Grading`)
result        what `check` found
homework      a calculation in a file
written       numbers with the precision of their digits
quantities    what the names of claims stand for
rounding      what rounding of intermediate results can do
kinks         where a derivative is a convention
formula_claims    claims that are formulas
slip          what a slip is, which of several is the likeliest, and when one is named
explaining    all that a wrong number may come from
  gradient_slips, partial_slips, mixed_up_slips     slips in a gradient; of these, parts left out, one thing taken for another
  constant_slips, inner_statistics                  slips in a gradient where a mean, a sum, … is taken as a constant
  forward_slips, update_slips, array_slips          slips in a forward value; in an update; in whole arrays
printed       numbers in messages
words         all that is said
"""

from chainrule.grading.grader import check
from chainrule.grading.homework import Homework, read_homework
from chainrule.grading.result import Finding, Grading

__all__ = ["Finding", "Grading", "Homework", "check", "read_homework"]
