"""What a step costs, and who misses a target: docs/semantics.md#w1-classes, #d3-reward.

Misses are counted when a step ends: a first token that has come says when, so nothing has to be done as deadlines pass.
"""

from kvgym._kernel import kernel
from kvgym.envs.kernels import codes
from kvgym.sim.base.access import arrived, classes, clock, config, deadlines, finished, progress, requests, workers
from kvgym.sim.base.requests import class_of, was_scored
from kvgym.sim.base.tables import INFINITE


@kernel
def is_late(s, q):
    """Whether request `q` has missed its TTFT target by now, iteration ends of now included."""
    status = progress(s)[q]
    target = classes(s)[class_of(s, q)].slo_ttft_ps
    deadline = status.arrived_ps + target
    if status.first_token_ps >= 0:
        return target > 0 and status.first_token_ps > deadline
    return target > 0 and clock(s).now_ps >= deadline


@kernel
def is_slow(s, q):
    """Whether request `q`, which has finished, has missed its TPOT target."""
    status = progress(s)[q]
    target = classes(s)[class_of(s, q)].slo_tpot_ps
    later = requests(s)[q].output_tokens - 1
    # Rounded up, the mean is above the target exactly if the sum is; target x tokens might not fit into an int64.
    return target > 0 and later > 0 and (status.finish_ps - status.first_token_ps + later - 1) // later > target


@kernel
def count_misses(s):
    """Counts the misses since it was called last: deadlines that have passed, and requests that have finished."""
    ck = clock(s)
    for number in range(len(classes(s))):
        target = classes(s)[number].slo_ttft_ps
        at = deadlines(s)[number] if target > 0 else ck.n_arrived
        while at < ck.n_arrived:
            q = arrived(s)[at].request
            if class_of(s, q) == number and was_scored(s, q):
                if arrived(s)[at].time_ps + target > ck.now_ps:
                    break
                # Who is refused before the deadline has missed then, see `count_refusal`.
                ck.missed += progress(s)[q].refused_ps < 0 and is_late(s, q)
            at += 1
        deadlines(s)[number] = at
    for i in range(ck.n_judged, ck.n_finished):
        q = finished(s)[i]
        ck.missed += was_scored(s, q) and is_slow(s, q) and not is_late(s, q)
    ck.n_judged = ck.n_finished


@kernel
def count_refusal(s):
    """The request whose decision is due will be refused: a miss, unless it has been one before."""
    q = clock(s).request
    clock(s).missed += was_scored(s, q) and not is_late(s, q)


@kernel
def begin_step(s, form):
    """The agent decides: what has finished and what it has cost so far belongs to earlier steps.

    The first step also pays for what came before it. The one place where costs begin anew: rewards of KVGym/Route-v0
    are sums over a step and not differences of sums over an episode, which are the same but for the last bits.
    """
    ck = clock(s)
    ck.n_reported = ck.n_finished
    if form & codes.COSTS_ANEW:
        ck.cost_e2e_ps = ck.cost_ttft_ps = 0.0
    elif ck.n_steps > 0:
        ck.paid_e2e_s = ck.cost_e2e_ps * 1e-12
        ck.paid_ttft_s = ck.cost_ttft_ps * 1e-12
    if form & codes.COUNTS_MISSES and ck.n_steps > 0:
        ck.paid_missed = ck.missed
        ck.paid_gpu_s = gpu_seconds(s)
    ck.n_steps += 1


@kernel
def step_costs(s):
    """Costs of the step so far (request seconds): "e2e", "ttft"."""
    ck = clock(s)
    return ck.cost_e2e_ps * 1e-12 - ck.paid_e2e_s, ck.cost_ttft_ps * 1e-12 - ck.paid_ttft_s


@kernel
def paid_cost(s, form):
    """The cost of the step so far that the reward pays."""
    if form & codes.PAYS_MISSES:
        return float(clock(s).missed - clock(s).paid_missed)
    e2e_s, ttft_s = step_costs(s)
    return ttft_s if form & codes.PAYS_TTFT else e2e_s


@kernel
def gpu_seconds(s):
    """Busy seconds of all workers since the start, times their GPUs."""
    total = 0.0
    for w in range(config(s).n_workers):
        wk = workers(s)[w]
        running_ps = clock(s).now_ps - wk.start_ps if wk.event_ps < INFINITE else 0
        total += float((wk.busy_ps + running_ps) * wk.gpus)
    return total * 1e-12


@kernel
def write_costs(s, out):
    """All costs of the step so far, as `codes.COSTS` names them."""
    ck = clock(s)
    e2e_s, ttft_s = step_costs(s)
    out[codes.COST.waiting] = ttft_s
    out[codes.COST.decoding] = e2e_s - ttft_s
    out[codes.COST.slo_misses] = ck.missed - ck.paid_missed
    out[codes.COST.gpu_seconds] = gpu_seconds(s) - ck.paid_gpu_s
    computed = 0
    for i in range(ck.n_reported if ck.n_steps > 1 else 0, ck.n_finished):
        q = finished(s)[i]
        computed += was_scored(s, q) * (requests(s)[q].prompt_tokens - progress(s)[q].hit_tokens)
    out[codes.COST.prefill_tokens] = computed
