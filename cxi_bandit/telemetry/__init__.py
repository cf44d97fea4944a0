"""What the processes tell about themselves: one log line a request, and counts that Prometheus collects."""
