"""Gymnasium environments over the simulator: observations, actions and rewards."""
