"""What the gateway costs, measured beside other ways to reach the same model: docs/benchmarks.md."""
