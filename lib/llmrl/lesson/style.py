"""How every figure of the course looks.

One colour-blind-safe palette (after Okabe and Ito), and one fixed colour per role, so that the policy is blue in every
chapter. Once `use()` has run, the roles are colour names: ax.plot(steps, kl, color="policy"). Text is large enough for
a phone and for the back row. Left out: a dark theme; figures carry their own white paper.
"""

ROLES = {
    "policy": "#0072B2",  # the model being trained
    "reference": "#222222",  # the model it started from
    "reward": "#E69F00",  # what it is paid for
    "value": "#56B4E9",  # what it expects to be paid
    "chosen": "#009E73",  # the preferred answer
    "rejected": "#CC5500",  # the other answer
    "highlight": "#CC79A7",  # the one thing to look at
    "neutral": "#C8C8C8",  # everything else
}
CYCLE = ("policy", "rejected", "chosen", "reward", "value", "highlight", "reference")  # curves that have no role
WIDTH = 7.5  # inches; height is the lesson's choice


def use():
    """Make the house style matplotlib's default and the roles its colour names."""
    import matplotlib
    from matplotlib import colors

    colors.get_named_colors_mapping().update(ROLES)
    matplotlib.rcParams.update(
        {
            "figure.figsize": (WIDTH, 4.0),
            "figure.dpi": 120,
            "savefig.dpi": 120,
            "figure.constrained_layout.use": True,
            "figure.constrained_layout.h_pad": 0.09,
            "figure.titlesize": 14,
            "figure.titleweight": "bold",
            "figure.max_open_warning": 0,
            "font.family": "DejaVu Sans",
            "font.size": 12,
            "axes.titlesize": 13,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.labelsize": 12,
            "xtick.labelsize": 11,
            "ytick.labelsize": 11,
            "legend.fontsize": 11,
            "legend.frameon": False,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": "#E6E6E6",
            "lines.linewidth": 2.2,
            "lines.markersize": 6,
            "image.cmap": "cividis",
            "axes.prop_cycle": matplotlib.cycler(color=[ROLES[role] for role in CYCLE]),
        }
    )
