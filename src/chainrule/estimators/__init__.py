"""`chainrule train` as estimators of scikit-learn: classifiers and regressors for pipelines, searches and cross-validation.

base        what both have: settings, fitting, pickling
inputs      what is given as X becomes a table
targets     what is given as y becomes what a loss compares with
classifier, regressor

Needs scikit-learn (extra `sklearn`). DataFrames need pyarrow, too, which comes with the same extra.
"""

from chainrule.errors import missing_dependency

try:
    from sklearn.utils.validation import validate_data  # noqa: F401 -- of all that is used it came last, with 1.6
except ImportError as error:
    raise missing_dependency("scikit-learn ≥ 1.6", "chainrule.estimators", "sklearn") from error

from chainrule.estimators.classifier import NetworkClassifier
from chainrule.estimators.regressor import NetworkRegressor

__all__ = ["NetworkClassifier", "NetworkRegressor"]
