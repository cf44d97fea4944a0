"""The scenes: what is set up together and measured by turns, each for one or more rows of the table."""
