"""Made-up traces in the formats that the readers read."""

import gzip
import json

import numpy as np


def mooncake_rows(n=200, seed=0, block_tokens=512, step_ms=3000):
    """Requests of growing conversations that begin with one of four system prompts; times in steps."""
    rng = np.random.default_rng(seed)
    rows, histories, fresh = [], [[k] for k in range(4)], 4
    for i in range(n):
        blocks = list(histories[rng.integers(len(histories))])
        tokens = int(rng.integers(1, 4 * block_tokens))
        added = -(-tokens // block_tokens)
        blocks += range(fresh, fresh + added)
        fresh += added
        length = block_tokens * (len(blocks) - added) + tokens
        full = length // block_tokens
        if full:
            histories.append(blocks[:full])
        rows.append(
            {
                "timestamp": i // 5 * step_ms,
                "input_length": length,
                "output_length": int(rng.integers(1, 500)),
                "hash_ids": blocks,
            }
        )
    return rows


def agent_sessions(n=6, seed=0, block_tokens=64):
    """Sessions of a main agent, some with a sub-agent, over two system prompts; contexts are cut back now and then."""
    rng = np.random.default_rng(seed)
    sessions = []
    for k in range(n):
        fresh, time, reqs, full = 1, 0.0, [], {}
        for i in range(int(rng.integers(3, 10))):
            agent = int(k % 2 and i > 1 and rng.random() < 0.3)
            had = full.get(agent, 0)
            keep = had if rng.random() < 0.8 else int(rng.integers(had + 1))
            added = int(rng.integers(1, 6)) + (10 if not had else 0)
            add = [[fresh, added]] if added < 3 else [[fresh, 2], [fresh + 100, added - 2]]
            fresh += 200
            full[agent] = keep + added
            api = None if rng.random() < 0.2 else float(rng.integers(1, 100)) / 10
            reqs.append(
                {
                    "t": time,
                    "a": agent,
                    "in": block_tokens * full[agent] + int(rng.integers(block_tokens)),
                    "out": int(rng.integers(0, 300)),
                    "api": api,
                    "think": None if rng.random() < 0.5 else float(rng.integers(0, 50)) / 10,
                    "tr": 1,
                    "keep": keep,
                    "add": add,
                }
            )
            time += (api or 0.0) + float(rng.integers(0, 50)) / 10
        sessions.append({"id": f"s{k}", "bs": block_tokens, "tool": 300 + 100 * (k % 2), "sys": 200, "reqs": reqs})
    return sessions


def write(path, records, compress=False):
    """Writes JSON lines, plain or gzip; returns the path."""
    data = "".join(json.dumps(record) + "\n" for record in records).encode()
    path.write_bytes(gzip.compress(data) if compress else data)
    return path
