"""Every term of our pages that is not plain, in a sentence or two."""

from __future__ import annotations

from nasrec_nni.architecture.value import Architecture

# Anchor: term, meaning. Sources of methods are named where the method is ours to cite (SPEC).
TERMS: dict[str, tuple[str, str]] = {
    "log-loss": (
        "Log loss",
        "Mean of −ln of the probability that the model gave to what happened. Lower is better. 0.001 is a gain that "
        "the field takes seriously, so differences of this size are judged with their noise.",
    ),
    "auc": (
        "AUC",
        "Chance that a random click is ranked above a random non-click: 0.5 is guessing, 1 is perfect. It sees the "
        "order of scores only, not their level.",
    ),
    "calibration": (
        "Calibration",
        "Mean predicted click rate over the observed one on the test rows: 1 is right, 1.05 promises 5 % too many "
        "clicks.",
    ),
    "deviation": (
        "± deviation",
        "Sample standard deviation over the seeds: how much one training differs from the next by luck alone.",
    ),
    "seed": (
        "Seed",
        "Number that fixes all draws of one training: first weights, order of batches, dropout. Every model is "
        "trained once with each seed.",
    ),
    "interval": (
        "95 % interval",
        "Range that holds the true difference in 95 of 100 repetitions. If 0 lies inside, the difference may be luck. "
        "Of 20 comparisons without any true difference, one is expected to miss 0.",
    ),
    "paired": (
        "Paired difference",
        "Two models are compared on the same seeds and the same test rows, so that what is hard for both cancels out.",
    ),
    "macs": (
        "Live MACs",
        "Multiply-accumulates to score one example, counted for the parts that reach the output. Embedding look-ups "
        "count nothing.",
    ),
    "parameters": (
        "Parameters",
        "Trained numbers of the layers; “with embeddings” adds the embedding tables, one row a known category, which "
        "are most of a model's memory.",
    ),
    "cpu-seconds": ("Training CPU seconds", "Processor time of one training, validation included, over all its cores."),
    "pareto": (
        "Pareto front",
        "The models that no other one beats in loss without costing more, or in cost without losing more.",
    ),
    "supernet": (
        "Supernet",
        "One network that holds all architectures of the space and is trained once, on another random one of them at "
        "each step. A candidate borrows its weights.",
    ),
    "score": (
        "Supernet score",
        "Validation log loss of a candidate with the supernet's weights, its last layer refitted. It ranks "
        "candidates; it is not the loss after training from scratch, and stands on a scale of its own.",
    ),
    "candidate": ("Candidate", "An architecture that the search asked for and scored."),
    "retrained": ("Trained from scratch", "With fresh weights, under the recipe that all models share."),
    "tau": (
        "Kendall's τ",
        "Agreement of two orders: 1 is the same order, 0 none, −1 the reverse. It is given for 5 or more models.",
    ),
    "hand-made": ("Hand-made model", "A known model of the literature, trained under the same recipe; the baseline."),
    "searched": ("Searched network", "A network that the search found, one of its best candidates by score."),
    "random": ("Random architecture", "Drawn from the same space without a search, to see what the search is worth."),
    "block": (
        "Block, dense and sparse half",
        "A network is a chain of blocks. The dense half puts out a vector of columns; the sparse half puts out rows, "
        "each one embedding wide. Each half reads any earlier blocks, or the input.",
    ),
    "embedding": ("Embedding", "A trained vector for each category of a field; the table of a field holds one a row."),
    "merger": (
        "Merger",
        "A way from one half of a block into the other's output: FM pools rows into columns, a projection turns "
        "columns into rows.",
    ),
    "space": ("Search space", "All architectures that can be built: operators, sizes and connections of each block."),
    "recipe": ("Recipe", "Optimizer, learning rate, epochs and all else that says how a model is trained."),
    "trials": (
        "Trials of the recipe sweep",
        "Trainings spent on each model to choose its recipe by validation log loss.",
    ),
    "fingerprint": (
        "Data fingerprint",
        "Hash of arrays, splits and schema. Equal fingerprints: the same rows in the same splits.",
    ),
    "test-reads": (
        "Test reads",
        "How often the test split was opened. It is read after the winner is fixed, once for each model and seed.",
    ),
}
OPERATORS = {
    "fc": "one fully connected layer over all columns that it reads",
    "dp": "dot products of all pairs of embedded inputs, then a fully connected layer",
    "sg": "the left input, gated by a sigmoid of the right one",
    "sum": "sum of two inputs",
    "efc": "mixes the rows that it reads into new rows (embedding fully connected)",
    "attn": "self-attention between the rows that it reads",
    "cross": "the cross layer of DCN-V2: the sparse input times a linear map of all that is read, added to it",
    "fap": "products of pairs of mixed rows, each pair through a matrix of its own",
    "gate": "two fully connected streams, dense and sparse, and a gate that says how much of each passes",
    "bilinear": "rows times rows through one matrix, in the manner of FiBiNET, added to the rows",
}


def terms(architecture: Architecture | None, leave_out: frozenset[str] = frozenset()) -> dict[str, tuple[str, str]]:
    """Terms by anchor, those of the drawn operators included; a stranger's operator is its package's to explain."""
    found = {anchor: told for anchor, told in TERMS.items() if anchor not in leave_out}
    blocks = architecture.blocks if architecture else ()
    used = sorted({one for block in blocks for one in (block.dense_operator, block.sparse_operator) if one})
    for name in used:
        words = OPERATORS.get(name, "an operator of a plug-in: `nasrec ls operators` tells its package")
        found[f"operator-{name}"] = (name.upper(), f"Operator: {words}.")
    return found
