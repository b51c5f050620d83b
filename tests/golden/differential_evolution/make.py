"""Makes golden.json beside this file: the children that scipy's own differential evolution makes of one population.

`DifferentialEvolutionSolver._mutate` runs for every member, strategy and crossover, with a random source whose numbers are recorded
in the order in which `src/stats/differential_evolution.rs` draws them: F, then for every member the others, the gene where the
crossover begins, one number per gene, and one per gene of the child outside of [0, 1], which is replaced by it. Versions are in
golden.json. Run it here with no arguments.
"""

import json

import numpy as np
import scipy
from scipy.optimize._differentialevolution import DifferentialEvolutionSolver

MEMBERS, GENES, MUTATION, RECOMBINATION = 8, 5, (0.5, 1.0), 0.6
# scipy has the best member first, our order is rotated by this: the code may not rely on its place.
ROTATION = 3
REPLACED = 0.125
OTHERS = {"best1": 2, "rand1": 3, "best2": 4, "rand2": 5, "randtobest1": 3, "currenttobest1": 2}
source = np.random.default_rng(19970)


class Recorder:
    """What `_mutate` needs of a random source."""

    def randint(self, low, high=None, size=None, dtype=int):
        self.begin = int(source.integers(low))
        return self.begin

    def shuffle(self, indices):
        source.shuffle(indices)
        self.indices = indices.copy()

    def uniform(self, size):
        self.chances = np.round(source.random(size), 3)
        return self.chances


def generation(strategy, crossover):
    members = np.round(source.random((MEMBERS, GENES)), 3)
    solver = DifferentialEvolutionSolver(
        lambda x: 0.0, [(0, 1)] * GENES, strategy=strategy + crossover, init=members, recombination=RECOMBINATION
    )
    recorder = Recorder()
    share = 0.375
    solver.population, solver.random_number_generator = members.copy(), recorder
    solver.scale = MUTATION[0] + (MUTATION[1] - MUTATION[0]) * share
    children, draws = [], []
    for member in range(MEMBERS):
        child = solver._mutate(member)
        others = [int(i) for i in recorder.indices if i != member][: OTHERS[strategy]]
        outside = (child < 0) | (child > 1)
        children.append(np.where(outside, REPLACED, child))
        draws.append(
            [((i + ROTATION) % MEMBERS + 0.5) / MEMBERS for i in others]
            + [(recorder.begin + 0.5) / GENES]
            + recorder.chances.tolist()
            + [REPLACED] * int(outside.sum())
        )
    rotated = lambda rows: [list(map(float, rows[(i - ROTATION) % MEMBERS])) for i in range(MEMBERS)]
    return {
        "strategy": strategy,
        "crossover": crossover,
        "genes": sum(rotated(members), []),
        "energies": [float((i - ROTATION) % MEMBERS) for i in range(MEMBERS)],
        "draws": [share] + sum(rotated(draws), []),
        "children": sum(rotated(children), []),
    }


golden = {
    "numpy": np.__version__,
    "scipy": scipy.__version__,
    "dimensions": GENES,
    "mutation": MUTATION,
    "recombination": RECOMBINATION,
    "generations": [generation(s, c) for s in OTHERS for c in ("bin", "exp")],
}
with open("golden.json", "w") as file:
    json.dump(golden, file)
    file.write("\n")
