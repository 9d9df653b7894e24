"""Compiled kernels of the environments: observations, and the step that applies an action and lets time pass."""
