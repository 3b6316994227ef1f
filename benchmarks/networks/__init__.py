"""AGO beside what users would pick instead: `python -m benchmarks.networks`."""
