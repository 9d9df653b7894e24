"""KVGym: Gymnasium environments in which an agent runs a simulated cluster of LLM servers."""

__version__ = "0.1.0"
