"""What tests drive from outside: a real service, a link that fails, a load that does not wait, a disk that fills up."""
