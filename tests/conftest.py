"""Settings of all tests."""

from hypothesis import settings

# The machine may be slow and shared: a timing never decides a test.
settings.register_profile("default", deadline=None)
settings.load_profile("default")
