"""For `local/run`, until it takes them from `cardwatch.files` itself."""

from cardwatch.files import replace

__all__ = ["replace"]
