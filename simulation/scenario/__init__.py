"""Scenarios: the model of a file, its workload, its faults. Plain data; nothing runs in here."""
