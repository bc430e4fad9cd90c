"""What people do about pages: signed links, the page in a browser, and PAGE_ACTs."""
