"""Paging: from alerts on the stream to pages that people read. See docs/paging.md."""
