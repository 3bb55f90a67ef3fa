"""`python -m modelwidgets` is `modelwidgets`."""

import sys

from modelwidgets.cli import main

sys.exit(main())
