"""What all tests share."""

from hypothesis import settings

# How long an example takes says something about the machine, not about cardwatch.
settings.register_profile("cardwatch", deadline=None)
settings.load_profile("cardwatch")
