"""Settings of hypothesis for the core's property tests."""

from hypothesis import settings

# Machines that run tests are shared, so how long one example takes says nothing.
settings.register_profile("chainrule", deadline=None)
settings.load_profile("chainrule")
