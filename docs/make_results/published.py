"""What has been published of long dependencies, beside what was found here: settings and results.

The left sides say what the papers and replications say; where they show curves alone, no number is read off.
"""

from dataclasses import replace
from typing import Final

from bptt.analysis.statistics.conclusions import conclude
from docs.make_results.tables import Tables
from docs.make_results.variants import LENGTH, VARIANTS, Variant, find_reach, pool
from docs.make_results.wording import (
    choose_verdict,
    describe,
    find_direction,
    join,
    write_link,
    write_plain_table,
    write_section,
)

_PASCANU: Final = 'Pascanu, Mikolov & Bengio (2013), "On the difficulty of training recurrent neural networks"'
_LE: Final = 'Le, Jaitly & Hinton (2015), "A Simple Way to Initialize Recurrent Networks of Rectified Linear Units"'


def _ours(tables: Tables, key: str) -> str:
    return tables.value(key)


def _list_rates(tables: Tables) -> str:
    return join([f"{rate:g}" for rate in tables.tuned["optimizer.alpha"]])


def write_pascanu(tables: Tables) -> str:
    """Temporal order beside figure 7 of Pascanu, Mikolov & Bengio, in Markdown."""
    sigmoid, basic, smart = VARIANTS[tables.name][:3]
    lengths = tables.levels(LENGTH)
    runs = smart.solved(tables, lengths[0], "norm").of
    rows = [
        ["network", "50 units", f"{_ours(tables, 'model.hidden_size')} units"],
        [
            "starts",
            "sigmoid units, N(0, 0.01²); tanh units, N(0, 0.1²); tanh units, 15 connections a unit with a spectral"
            " radius of 0.95, N(0, 0.01²) for the rest (deviations as in their program); biases 0",
            "the same, but an orthogonal matrix times 0.95 for the sparse one",
        ],
        [
            "training",
            "SGD, learning rate 0.01, mini-batches of 20, up to 5,000,000 updates",
            f"SGD, the best of the learning rates {_list_rates(tables)} for each setting, mini-batches of"
            f" {_ours(tables, 'train.batch_size')}, up to {int(_ours(tables, 'train.updates')):,} updates",
        ],
        ["clipping", "norm, to 1", "norm, to 1"],
        [
            "regularisation",
            "MSGD-CR: a term that keeps gradients from vanishing, weight 4",
            "none, which `regularizer=omega` has",
        ],
        [
            "solved",
            "under 1 % of 10,000 fresh sequences wrong",
            f"at most {100 * (1 - float(_ours(tables, 'train.early_stop.threshold'))):.0f} % of"
            f" {_ours(tables, 'task.eval_size')} sequences wrong, at a recorded update",
        ],
        ["runs", "5", f"{runs}"],
        ["lengths", "each by itself in figure 7; also 50 to 200 at once", f"{lengths[0]:g} to {lengths[-1]:g}"],
    ]
    detail = f"""{_PASCANU}, ICML, section 4.1 and figure 7: how often temporal order is learned, against the length,
from three starts. Ours is smaller in all that takes time, so that it takes minutes: fewer units, fewer updates at
larger learning rates, shorter sequences.

{write_plain_table(["", "Pascanu, Mikolov & Bengio", "here"], rows)}

{write_plain_table(["they find", "here"], _pascanu_findings(tables, sigmoid, basic, smart))}

Their figure shows curves without numbers, which are not read off here.
"""
    return write_section(
        "Beside Pascanu, Mikolov & Bengio (2013)",
        "They find that networks of sigmoid units from small weights are the hardest to train. Are they, at a size that"
        " takes minutes?",
        _judge_sigmoid(tables, sigmoid, [basic, smart]),
        "",
        detail,
        write_link(tables),
    )


def _judge_sigmoid(tables: Tables, sigmoid: Variant, others: list[Variant]) -> str:
    way = find_direction(pool(tables, [sigmoid], "norm"), pool(tables, others, "norm"))
    return choose_verdict(
        way,
        -1,
        "They are: clipped, and over all lengths, fewer of them solve it than of tanh networks.",
        "Not here: clipped, and over all lengths, more of them solve it than of tanh networks.",
        "Not settled by these runs.",
    )


def _pascanu_findings(tables: Tables, sigmoid: Variant, basic: Variant, smart: Variant) -> list[list[str]]:
    lengths = tables.levels(LENGTH)
    gains = [
        f"{length:g}: {pool(tables, [basic, smart], 'norm', length).short} against"
        f" {pool(tables, [basic, smart], 'none', length).short}"
        for length in lengths
    ]
    starts = "; ".join(f"{variant.name} {pool(tables, [variant], 'norm').short}" for variant in (sigmoid, basic, smart))
    longest = basic.solved(tables, lengths[-1], "norm")
    adverse = _judge_sigmoid(tables, sigmoid, [basic, smart])
    asked = [
        (pool(tables, [basic, smart], "norm", length), pool(tables, [basic, smart], "none", length))
        for length in lengths
    ]
    found = conclude([clipped.ask(none) for clipped, none in asked])
    by_length = "; ".join(f"{length:g}: {describe(one)}" for length, one in zip(lengths, found, strict=True))
    return [
        ['"sigmoid" is "the most adversarial initialization"', f"{adverse} Solved: {starts}"],
        [
            "the longer the sequence, the more important is clipping",
            f"That it grows with the length is not tested. Both tanh starts, clipped against not clipped, over"
            f" {'; '.join(gains)}. Clipped, over {by_length}",
        ],
        [
            "from the tanh units' N(0, 0.1²) all 5 runs learn all lengths from 50 to 200 at once, with their remedies",
            f"without regularisation {longest} learn {lengths[-1]:g} timesteps from there: clipping alone is not enough"
            if longest.interval.high < 0.5
            else f"without regularisation {longest} learn {lengths[-1]:g} timesteps from there",
        ],
    ]


def write_le(tables: Tables) -> str:
    """The adding problem beside Le, Jaitly & Hinton, in Markdown."""
    tanh, orthogonal, identity, _, lstm, open_lstm = VARIANTS[tables.name]
    lengths = tables.levels(LENGTH)
    settings = [
        ["network", "100 units", f"{_ours(tables, 'model.hidden_size')} units"],
        ["lengths", "150, 200, 300, 400", join([f"{length:g}" for length in lengths])],
        [
            "training",
            "SGD, learning rate 0.01, mini-batches of 16; the norm clipped to 1, 10 or 100",
            f"Adam, the best of the learning rates {_list_rates(tables)} for each setting, mini-batches of"
            f" {_ours(tables, 'train.batch_size')} fresh sequences, up to"
            f" {int(_ours(tables, 'train.updates')):,} updates; the norm not clipped, or clipped to"
            f" {tables.levels('clip.threshold')[0]:g}",
        ],
        ["target", "the sum: always answering 1 has a squared error of 1/6", "half the sum, so 1/24"],
        [
            "LSTM",
            "a bias of its own for the forget gate",
            "all biases 0, the forget gate's too; or 4 for that one",
        ],
    ]
    by_length = {
        variant.name: "; ".join(f"{length:g}: {variant.solved(tables, length, 'norm').short}" for length in lengths)
        for variant in (identity, lstm, open_lstm, tanh, orthogonal)
    }
    most = int(_ours(tables, "train.updates")) * int(_ours(tables, "train.batch_size"))
    irnn = pool(tables, [identity], "norm")
    half, full = conclude([irnn.ask(pool(tables, [variant], "norm")) for variant in (lstm, open_lstm)])
    found = [
        [
            "IRNNs are comparable to a standard implementation of LSTMs (abstract)",
            f"clipped, by length, IRNN {by_length[identity.name]}; LSTM {by_length[lstm.name]}, with a bias of 4"
            f" {by_length[open_lstm.name]}",
        ],
        [
            "a replication with Adam (Hu et al. 2018), 200, 300, 400 timesteps: LSTMs do worst, and fail at 400",
            f"LSTMs reach {find_reach(tables, lstm, 'norm')}, with a forget bias of 4"
            f" {find_reach(tables, open_lstm, 'norm')}, IRNNs {find_reach(tables, identity, 'norm')}; tanh"
            f" networks, from Glorot's weights {by_length[tanh.name]}; from an orthogonal matrix"
            f" {by_length[orthogonal.name]}",
        ],
        [
            "a replication (Knet.jl): an IRNN's error on the sum first is below 0.1 after"
            " 1,390,000, 2,080,000, 3,860,000 and 7,400,000 sequences, for 150, 200, 300 and 400 timesteps",
            f"up to {most:,} sequences a run, and so shorter ones",
        ],
    ]
    detail = f"""{_LE}, arXiv:1504.00941, on the adding problem. Its settings are given as a replication has them:
`examples/adding.jl` of [Knet.jl](https://github.com/denizyuret/Knet.jl), 2015. Another one is in Y. Hu et al. (2018),
"Overcoming the vanishing gradient problem in plain recurrent networks", section 3.1.

{write_plain_table(["", "Le, Jaitly & Hinton", "here"], settings)}

{write_plain_table(["they find", "here"], found)}
"""
    return write_section(
        "Beside Le, Jaitly & Hinton (2015)",
        "They find that ReLU networks from the identity (IRNNs) are comparable to a standard implementation of LSTMs."
        " Are they, on adding?",
        f"Compared with LSTMs whose forget gate starts with a bias of 0, IRNNs solve it"
        f" {describe(replace(half, silent=()))}; with one of 4, {describe(replace(full, silent=()))}.",
        "",
        detail,
        write_link(tables),
    )
