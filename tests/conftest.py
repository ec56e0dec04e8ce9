"""What holds for all tests, whoever starts them."""

import signal

from bptt.tracking.store import set_environment

# MLflow is as quiet as the program has it, whichever test imports it first.
set_environment()
# A shell that starts the tests in its background has them, and their children, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
