"""Agents that know more than a router may: how much is left to gain. None of them is ranked."""
