"""python -m embedded.store"""

import sys

from embedded.store.main import main

sys.exit(main())
