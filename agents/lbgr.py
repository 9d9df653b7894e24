"""Experimental LBGR."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from agents.base import DECISION, FINISH, Agent, legal_workers


class Lbgr(Agent):
    def __init__(self, *, form="none", alpha_cached=0.0, alpha_miss=0.16e-3, output_s=0.0, rho=31/32, decay_s=0.02,
                 rate=0.02, bound=0.5, shared=True, forgetting=0.992, speed=True, detail=1.0):
        self.__dict__.update({k: v for k, v in locals().items() if k != "self"})

    def reset(self, env, seed):
        super().reset(env, seed)
        self._prompt = self.layout.request("prompt")
        self._match = self.layout.workers("match")
        self._speed = self.layout.workers("speed")
        m = self.n_workers
        self.load = [0.0] * m
        self.theta = [[0.0, 0.0, 0.0, 0.0] for _ in range(1 if self.shared else m)]
        self.r = [[[1e6 if i == j else 0.0 for i in range(4)] for j in range(4)] for _ in range(m)]
        self.rr = [1e6] * m
        self.sent = {}
        self.k = 0
        self.ticks = 0
        self.scale = None

    def phi(self, hit, miss, load):
        if self.form == "bias":
            return (0.0, 0.0, 0.0, 1.0)
        if self.form == "full_bias":
            return (hit * self.alpha_miss, miss * self.alpha_miss, load, 1.0)
        return (hit * self.alpha_miss, miss * self.alpha_miss, load, 0.0)

    def act(self, observation, info):
        now = info["time"]
        for row in self.env.finished().tolist():
            self.decay(row[FINISH])
            self.learn(int(row[DECISION]), row[FINISH])
        self.decay(now)
        prompt = float(observation[self._prompt])
        match = observation[self._match].tolist()
        speed = observation[self._speed].tolist()
        best = None
        for i in legal_workers(info):
            hit = match[i]
            miss = prompt - hit
            cost = (self.alpha_cached * hit + self.alpha_miss * miss) / (speed[i] if self.speed else 1.0) + self.output_s
            phi = self.phi(hit, miss, self.load[i])
            corr = 0.0
            if self.form != "none":
                th = self.theta[0 if self.shared else i]
                corr = sum(a * b for a, b in zip(th, phi))
                if self.form == "bounded":
                    e = cost + self.load[i]
                    corr = max(-self.bound * e, min(self.bound * e, corr))
            pred = cost + self.load[i] + corr
            if best is None or pred < best[0]:
                best = (pred, i, cost, phi, hit, miss)
        _, i, cost, phi, hit, miss = best
        self.sent[self.k] = (i, now, cost, self.load[i], phi, best[0])
        self.load[i] += cost
        self.k += 1
        return i

    def decay(self, t):
        n = int((t + 5e-7) / self.decay_s)
        d = n - self.ticks
        if d > 0:
            self.ticks = n
            f = self.rho ** d
            self.load = [x * f for x in self.load]

    def learn(self, k, finish):
        s = self.sent.pop(k, None)
        if s is None:
            return
        i, t0, cost, load, phi, pred = s
        e = finish - t0
        self.load[i] = max(0.0, self.load[i] - cost * self.rho ** int((e + 5e-7) / self.decay_s))
        if self.form == "none":
            return
        w = 0 if self.shared else i
        th = self.theta[w]
        y = e - cost - load
        if self.form == "bias":
            R = self.rr[w]
            g = R / (self.forgetting + R)
            self.rr[w] = g
            th[3] += g * (y - th[3])
            return
        if self.form in ("rls", "full_bias", "rls_bounded"):
            P = self.r[w]
            pphi = [sum(P[a][b] * phi[b] for b in range(4)) for a in range(4)]
            den = self.forgetting + sum(phi[a] * pphi[a] for a in range(4))
            err = y - sum(a * b for a, b in zip(th, phi))
            for a in range(4):
                th[a] += pphi[a] / den * err
            for a in range(4):
                for b in range(4):
                    P[a][b] = (P[a][b] - pphi[a] * pphi[b] / den) / self.forgetting
            return
        # normalised LMS, optionally with bounded coefficients
        nrm = sum(a * a for a in phi) + 1e-12
        err = y - sum(a * b for a, b in zip(th, phi))
        for a in range(4):
            th[a] += self.rate * err * phi[a] / nrm
            if self.form == "clip":
                th[a] = max(-self.bound, min(self.bound, th[a]))
        if self.form == "relclip":
            pass
