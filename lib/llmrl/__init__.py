"""llmrl: from tokens to RLHF, reasoning and performance, in notebooks that run.

The package is the library the notebooks call: one folder per subject, one module per concept.
Importing it loads nothing heavy; each subject is imported where it is used.
"""

__version__ = "0.1.0"
