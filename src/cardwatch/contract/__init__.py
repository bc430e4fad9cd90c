"""The event contract: every record on the stream, as frozen pydantic models."""
