"""llmrl: from tokens to RLHF, reasoning and performance, in notebooks that run.

The package is the library the notebooks call: one folder per subject, one module per concept. Importing it loads
nothing heavy; each subject is imported where it is used. One setting has to come before torch does: a thread that
waits for the others sleeps instead of spinning, or two notebooks with two threads each on two cores would spend most
of their time waiting for each other.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
