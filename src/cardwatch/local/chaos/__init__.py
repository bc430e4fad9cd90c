"""Faults of the machine and of AWS, tried on a running stack, and what each did.

Not the simulator's faults (`simulation/faults.py`), which are payments that are wrong or late.
"""
