"""`/v1/runs`: runs that outlive the connection that started them (docs/runs.md)."""
