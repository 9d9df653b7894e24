"""Adapters to libraries that kvgym does not need itself; each module imports its library."""
