"""The gate: evidence that stays valid however often it is looked at, turned into go, wait or refuse."""
