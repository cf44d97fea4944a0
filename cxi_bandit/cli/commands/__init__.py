"""What every command takes, says and shows as examples; what it does is in `cxi_bandit.cli`, imported when it runs."""
