"""`python -m blurnet_tf`: the command `blurnet`."""

import sys

from blurnet_tf.commands.main import main

if __name__ == "__main__":
    sys.exit(main())
