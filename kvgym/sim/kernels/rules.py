"""Numbers of the named rules, as the config table stores them."""

EVICTORS = ("lru", "lru_node", "random", "rlt", "rlt_code", "belady")
LRU, LRU_NODE, RANDOM, RLT, RLT_CODE, BELADY = range(len(EVICTORS))

ROUTERS = ("agent", "random", "round_robin", "least_loaded", "prefix_affinity")
AGENT, RANDOM_ROUTER, ROUND_ROBIN, LEAST_LOADED, PREFIX_AFFINITY = range(len(ROUTERS))
