"""The main job: from a table or pictures to a trained network with everything that is needed to use it."""

from chainrule.job.config import Config
from chainrule.job.predictor import Predictions, Predictor
from chainrule.job.problem import Problem
from chainrule.job.training import Result, build, train

__all__ = ["Config", "Predictions", "Predictor", "Problem", "Result", "build", "train"]
