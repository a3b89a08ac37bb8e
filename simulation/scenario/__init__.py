"""Scenarios: the model of a file, its workload, its faults. TrivialCounts data; nothing runs in here."""
