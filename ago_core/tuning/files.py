"""Names of the files in a session's folder. Needs no TVM."""

JOURNAL = "journal.sqlite"
BEST = "best.json"
LOG = "tuner.log"
LOCK = "tuner.lock"
