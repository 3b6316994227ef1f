import sys

from ago_core.cli import main

sys.exit(main())
