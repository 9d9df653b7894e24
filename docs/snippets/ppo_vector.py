"""PPO in one file, in the style of CleanRL, on the native vector form: masks, and values of what was cut off.

python docs/snippets/ppo_vector.py [--id KVGym/Evict-v0] [--steps 200000]
"""

import argparse

import numpy as np
import torch
from torch import nn
from torch.distributions import Categorical

import kvgym

NUM_ENVS, ROLLOUT, EPOCHS, MINIBATCH = 64, 64, 4, 1024
GAMMA, LAMBDA, CLIP, ENTROPY, VALUE = 0.95, 0.95, 0.2, 0.01, 0.5
REWARD_SCALE = 0.05  # so that values, some 1 / (1 - GAMMA) rewards, are of order 1
EPISODE = {
    "scenario": "multi-turn",
    "horizon": "truncate",
    "stagger": True,
    "scenario_overrides": {"episode_requests": 512},
}


class ActorCritic(nn.Module):
    """Two networks on the flat observation; what is masked gets probability 0."""

    def __init__(self, n_inputs: int, n_actions: int) -> None:
        """Makes the networks."""
        super().__init__()

        def network(n_outputs: int) -> nn.Sequential:
            hidden = nn.Linear(n_inputs, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh()
            return nn.Sequential(*hidden, nn.Linear(64, n_outputs))

        self.actor, self.critic = network(n_actions), network(1)

    def value(self, obs: torch.Tensor) -> torch.Tensor:
        """V(s), (n,)."""
        return self.critic(obs).squeeze(-1)

    def policy(self, obs: torch.Tensor, mask: torch.Tensor) -> Categorical:
        """The distribution over the legal actions."""
        return Categorical(logits=self.actor(obs).masked_fill(mask == 0, -1e9))


def rollout(envs, agent, obs, mask):
    """ROLLOUT steps: tensors (ROLLOUT, num_envs, ..) by name, where the environments stand now, the mean reward."""
    names = ("obs", "mask", "action", "logp", "value", "reward", "done")
    kept, plain = {name: [] for name in names}, []
    for _ in range(ROLLOUT):
        dist = agent.policy(obs, mask)
        action = dist.sample()
        after, reward, terminated, truncated, infos = envs.step(action.numpy())
        reward = torch.as_tensor(REWARD_SCALE * reward, dtype=torch.float32)
        plain.append(float(reward.mean()) / REWARD_SCALE)
        # SameStep: `after` is the next episode's first observation where one ended; the last one of the old episode is
        # in final_obs. An episode that was cut goes on in truth: the reward gets the value of what was cut off.
        cut = np.flatnonzero(truncated & ~terminated)
        if len(cut):
            last = torch.as_tensor(np.stack(list(infos["final_obs"][cut])))
            reward[cut] += GAMMA * agent.value(last)
        done = torch.as_tensor(terminated | truncated)
        step = (obs, mask, action, dist.log_prob(action), agent.value(obs), reward, done)
        for name, value in zip(names, step, strict=True):
            kept[name].append(value)
        # This mask is that of `after`, in ended environments too.
        obs, mask = torch.as_tensor(after), torch.as_tensor(infos["action_mask"])
    return {name: torch.stack(values) for name, values in kept.items()}, obs, mask, sum(plain) / ROLLOUT


def advantages(batch, last_value):
    """Generalised advantage estimates; nothing is carried over the end of an episode."""
    result, carried, value_after = torch.zeros_like(batch["reward"]), 0.0, last_value
    for t in reversed(range(ROLLOUT)):
        goes_on = (~batch["done"][t]).float()
        delta = batch["reward"][t] + GAMMA * value_after * goes_on - batch["value"][t]
        carried = delta + GAMMA * LAMBDA * goes_on * carried
        result[t], value_after = carried, batch["value"][t]
    return result


def update(agent, optimizer, batch, advantage):
    """EPOCHS passes over the batch in minibatches."""
    flat = {name: value.flatten(0, 1) for name, value in batch.items()}
    advantage, returns = advantage.flatten(), (advantage + batch["value"]).flatten()
    for _ in range(EPOCHS):
        for i in torch.randperm(len(advantage)).split(MINIBATCH):
            dist = agent.policy(flat["obs"][i], flat["mask"][i])
            ratio = (dist.log_prob(flat["action"][i]) - flat["logp"][i]).exp()
            a = (advantage[i] - advantage[i].mean()) / (advantage[i].std() + 1e-8)
            gain = torch.min(a * ratio, a * ratio.clamp(1 - CLIP, 1 + CLIP)).mean()
            error = (agent.value(flat["obs"][i]) - returns[i]).pow(2).mean()
            optimizer.zero_grad()
            (-gain - ENTROPY * dist.entropy().mean() + VALUE * error).backward()
            nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
            optimizer.step()


def train(id="KVGym/Route-v0", steps=200_000, num_envs=NUM_ENVS, seed=0, **settings):
    """Trains an agent; returns it with the mean reward per decision of each rollout."""
    torch.manual_seed(seed)
    envs = kvgym.make_vec(id, num_envs, autoreset_mode="SameStep", **{**EPISODE, **settings})
    agent = ActorCritic(envs.single_observation_space.shape[0], int(envs.single_action_space.n))
    optimizer = torch.optim.Adam(agent.parameters(), lr=3e-4, eps=1e-5)
    first, infos = envs.reset(seed=seed)
    obs, mask, rewards = torch.as_tensor(first), torch.as_tensor(infos["action_mask"]), []
    for _ in range(max(1, steps // (num_envs * ROLLOUT))):
        with torch.no_grad():
            batch, obs, mask, mean = rollout(envs, agent, obs, mask)
            advantage = advantages(batch, agent.value(obs))
        update(agent, optimizer, batch, advantage)
        rewards.append(mean)
        print(f"{len(rewards) * num_envs * ROLLOUT:,} decisions, {rewards[-1]:.4f} per decision")
    envs.close()
    return agent, rewards


if __name__ == "__main__":
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--id", default="KVGym/Route-v0", help="an id with one discrete action")
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    train(**vars(parser.parse_args()))
