"""When, how fast and how reliably does a recurrent network learn?

`bptt` trains recurrent networks by backpropagation through time, one or thousands at once, and records every run. The
command line is `bptt`; the numerical core, which needs neither files nor a tracker, is `bptt.core`.
"""

__version__ = "0.1.0"
