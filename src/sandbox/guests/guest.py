"""What the host starts: makes room for the program, then runs the guest."""

import os
import sys

sys.path[0] = os.path.dirname(os.path.abspath(__file__))
from potluck_guest.loop import Guest  # noqa: E402 - found by the line above

# A program finds what it writes to its folder, and not our files.
sys.path[0] = ""
# Processes that a task spawns by multiprocessing import this file under another name.
if __name__ == "__main__":
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)  # results come out digit for digit, however many
    Guest().run()
