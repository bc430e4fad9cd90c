"""`python -m cardwatch.cli`."""

import sys

from cardwatch.cli import main

sys.exit(main())
