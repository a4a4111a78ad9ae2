"""Move aliases according to the policy: promote, approve, roll back, sign. Imports `registry` and the rooms
below it.
"""
