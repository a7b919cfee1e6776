"""scikit-learn's own checks of estimators: all of them with the defaults, some by default with a small network."""

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator
from tables_for_estimators import SMALL

from chainrule.estimators import NetworkClassifier, NetworkRegressor

EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": "a network is trained on minibatches: a row that is there twice is in two "
    "of them, or in two places of one, and is no row of twice the weight"
}
# What they look at differs; the others ask for more fits, or for more learning.
QUICK = {
    "check_all_zero_sample_weights_error",
    "check_classifier_multioutput",
    "check_classifiers_one_label",
    "check_classifiers_one_label_sample_weights",
    "check_complex_data",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_dont_overwrite_parameters",
    "check_dtype_object",
    "check_estimator_sparse_array",
    "check_estimators_empty_data_messages",
    "check_estimators_overwrite_params",
    "check_estimators_unfitted",
    "check_fit2d_1sample",
    "check_methods_sample_order_invariance",
    "check_n_features_in_after_fitting",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_readonly_memmap_input",
    "check_regressor_multioutput",
    "check_requires_y_none",
    "check_sample_weights_not_overwritten",
    "check_supervised_y_no_nan",
}


def checks(*estimators, only=None):
    """The checks of every estimator, as pytest's parameters."""
    found = []
    for estimator in estimators:
        for count, (own, check) in enumerate(estimator_checks_generator(estimator)):
            name = getattr(check, "func", check).__name__
            marks = [pytest.mark.xfail(strict=True, reason=EXPECTED[name])] if name in EXPECTED else []
            if only is None or name in only:
                found.append(pytest.param(own, check, id=f"{type(estimator).__name__}-{count}-{name}", marks=marks))
    return found


@pytest.mark.filterwarnings("ignore")  # the checks warn of their own data
@pytest.mark.parametrize("estimator, check", checks(NetworkClassifier(**SMALL), NetworkRegressor(**SMALL), only=QUICK))
def test_quick_checks_pass(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator, check", checks(NetworkClassifier(), NetworkRegressor()))
def test_all_checks_pass(estimator, check):
    check(estimator)
