"""Runs a program and prints the largest resident memory of any process below it, in MB of 2^20.

Usage: peak_memory.py PROGRAM ARGUMENTS…
"""

import resource
import subprocess
import sys

status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=False).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
sys.exit(status)
