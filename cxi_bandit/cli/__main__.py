"""`python -m cxi_bandit.cli` is `cxi-bandit`."""

import sys

from cxi_bandit.cli import main

sys.exit(main())
