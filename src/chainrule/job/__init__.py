"""The main job: from data in files to a trained network with everything that is needed to use it.

config        what can be chosen
inputs        kinds of input: tables, pictures
prepared      data understood, split and encoded
building      how a configuration becomes a network, a loss, an optimiser and a schedule
training      `train`: build, train, judge, write
  checkpoint    the state of a run on disk; `resuming` goes on from it
  measures      how good answers are
  results       what a run leaves in memory
  folders       the folder of a run; `locking` keeps others out
  writing       what is written into it
predictor     a trained network with its preprocessing
diagnosing, pictures, report    what a run shows of itself
outputs       what answers may not overwrite
"""

from chainrule.job.building import build
from chainrule.job.config import Config
from chainrule.job.predictor import Predictions, Predictor
from chainrule.job.prepared import PreparedData
from chainrule.job.results import Result
from chainrule.job.training import train

__all__ = ["Config", "Predictions", "Predictor", "PreparedData", "Result", "build", "train"]
