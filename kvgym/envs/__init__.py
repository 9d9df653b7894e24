"""What an agent sees and does: Gymnasium environments over the simulator."""
