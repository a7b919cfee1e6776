"""Why a network does not learn, in numbers.

diagnosing    `diagnose`: measure, then let every rule judge
problem       what is diagnosed: model, loss, data, optimiser
measuring     the numbers that rules read
  one_pass      one forward and one backward pass
  layers        the layers of a network, found in its graph
  layer_numbers what the pass shows at each of them
  trials        short runs on copies
  relation      whether inputs say anything of targets
  non_finite    the first NaN or infinity of a calculation, traced to its node
reasons       why an operation gives NaN or infinity, and what helps
breakdown     the step of a training run that is not finite any more, found and explained
around        a diagnosis before and after `Trainer.fit`
rule          what a rule is
  data_rules, network_rules, learning_rules     the tables of rules: a new one is a record in one of them
remedies      changes that can be made mechanically
findings      what a diagnosis says
"""

from chainrule.diagnosis.breakdown import Breakdown, first_breakdown
from chainrule.diagnosis.diagnosing import RULES, diagnose, diagnose_problem
from chainrule.diagnosis.findings import Diagnosis, Finding
from chainrule.diagnosis.non_finite import NonFinite, first_non_finite
from chainrule.diagnosis.problem import Problem
from chainrule.diagnosis.remedies import Remedy

__all__ = [
    "RULES",
    "Breakdown",
    "Diagnosis",
    "Finding",
    "NonFinite",
    "Problem",
    "Remedy",
    "diagnose",
    "diagnose_problem",
    "first_breakdown",
    "first_non_finite",
]
