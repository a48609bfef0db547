"""Package metadata: the plug-in folders at the top level install below `nasrec_nni`."""

from __future__ import annotations

from pathlib import Path

from setuptools import find_packages, setup

FOLDERS = {
    "nasrec_nni.search_spaces": "search_spaces",
    "nasrec_nni.strategies": "strategies",
    "nasrec_nni.examples": "examples",
}
EXPORT = [  # an extra: a model is trained, exported to torch and used without them
    "onnx>=1.17",  # the files that torch's exporter writes
    "onnxscript>=0.2",  # torch's exporter is written with it
    "onnxruntime>=1.20",  # runs model.onnx: checked when exported, `nasrec predict --engine onnx`, latency
]
# With Python 3.11.5 on: what the theme of today and its extensions need.
DOCS = [
    f"{name}; python_full_version >= '3.11.5'"
    for name in (
        "mkdocs>=1.6,<2",  # makes the site of docs/
        "mkdocs-material>=9.6",  # its theme: search, palette, phones, nothing fetched from elsewhere
        "mkdocstrings-python>=2",  # the Python reference out of docstrings
        "pymdown-extensions>=10.10",  # fenced blocks and their colours (the theme brings it too)
    )
]
packages = find_packages(include=["nasrec_nni", "nasrec_nni.*"])
for name, folder in FOLDERS.items():
    packages += [name, *(f"{name}.{child}" for child in find_packages(folder))]

setup(
    name="nasrec-nni",
    version="0.1.0",
    description="One-shot architecture search for click-through-rate models, on NNI 3.0",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license_expression="MIT",
    license_files=["LICENSE"],
    author="the nasrec-nni authors",
    keywords="neural architecture search, click-through rate, recommender systems, weight sharing, NNI",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Science/Research",
        "Intended Audience :: Developers",
        "Operating System :: POSIX :: Linux",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 14)),
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    python_requires=">=3.10,<3.14",  # NNI's typeguard bound uses ast.Str, gone in 3.14
    packages=packages,
    package_dir=FOLDERS,
    package_data={
        "nasrec_nni": ["py.typed", "analysis/templates/*", "experiment/*.js"],
        "nasrec_nni.examples": [
            "*.yaml",
            "nni/*.yml",
            # example packages: `nasrec cp` copies them
            *(f"*/*.{kind}" for kind in ("toml", "md", "yaml")),
            *(f"{name}/*/*.py" for name in ("operator-package", "plugin-cross", "plugin-hill-climbing")),
        ],
    },
    install_requires=[
        "nni==3.0",  # mutables, one-shot base classes, experiments; its last release
        "torch>=2.4",  # tensors; see the README for CPU and GPU builds
        "pytorch-lightning>=2.5,<2.7",  # training loops; NNI needs it by this name
        "setuptools<82",  # nnictl imports pkg_resources, which 82 removed
        "numpy>=1.26",  # arrays on disk and in memory
        "pyarrow>=15",  # parses CSV and counts categories at native speed
        "pyyaml>=6",  # config files
        "pydantic>=2.6",  # typed config, every error at once
        "numba>=0.60",  # compiled CPU kernels of operators and optimizers, where torch's operations lose
        "llvmlite",  # numba's compiler, of the version that numba asks for: the kernels' vectors are written with it
        "safetensors>=0.4",  # weights that are never unpickled and can be read in slices
        "scikit-learn>=1.6",  # AUC, stratified folds, NASRecClassifier by its tags of 1.6 on (NNI brings it too)
        "threadpoolctl>=3.1",  # sets the threads of numpy's matrix products (scikit-learn brings it too)
        "scipy>=1.11",  # L-BFGS for the last layer (NNI brings it too)
        "tensorboard>=2.15",  # scalars of supernet, search and retraining
        "jinja2>=3.1",  # the report page, escaped
        "matplotlib>=3.8",  # drawings and plots as SVG and PNG
        "optuna>=4",  # proposes recipes in a sweep (tree-structured Parzen estimator, seeded)
        "tqdm>=4.66",  # progress bars outside Lightning
        "psutil>=6",  # processes that runs have left over (NNI brings it too)
        "packaging>=23",  # version ranges in `nasrec doctor` (Lightning brings it too)
    ],
    extras_require={
        "export": EXPORT,
        "docs": DOCS,
        "dev": [
            *EXPORT,
            *DOCS,  # a test builds the site
            "pytest>=8",  # test runner
            "pytest-xdist>=3.5",  # tests on all cores
            "hypothesis>=6.100",  # invariants over random architectures
            "ruff>=0.6",  # format and lint
            "mypy>=1.11",  # strict types
            "pandas>=2.1",  # a second reading of the logs in tests (NNI brings it too)
            "types-PyYAML",  # types of yaml
            "types-tqdm",  # types of tqdm
        ],
    },
    entry_points={
        "console_scripts": ["nasrec=nasrec_nni.cli:main", "nasrec-trial=nasrec_nni.experiment.trial:main"],
        "nasrec_nni.operators": [
            f"{name}=nasrec_nni.operators.descriptions:{name.upper()}"
            for name in ("fc", "dp", "sg", "sum", "efc", "attn")
        ]
        + [f"{name}=nasrec_nni.operators.plus:{name.upper()}" for name in ("cross", "gate", "fap", "bilinear")],
        "nasrec_nni.mergers": [
            "projection=nasrec_nni.operators.descriptions:PROJECTION",
            "fm=nasrec_nni.operators.descriptions:FM",
        ],
        "nasrec_nni.search_spaces": [
            "nasrec-small=nasrec_nni.search_spaces.descriptions:NASREC_SMALL",
            "nasrec-full=nasrec_nni.search_spaces.descriptions:NASREC_FULL",
            "nasrec-plus=nasrec_nni.search_spaces.descriptions:NASREC_PLUS",
        ],
        "nasrec_nni.one_shot": [
            "single-operator-any-connection=nasrec_nni.strategies.sampling.distributions:SINGLE_OPERATOR_ANY_CONNECTION",
            "single-operator-single-connection=nasrec_nni.strategies.sampling.distributions:SINGLE_OPERATOR_SINGLE_CONNECTION",
            "any-operator-any-connection=nasrec_nni.strategies.sampling.distributions:ANY_OPERATOR_ANY_CONNECTION",
            "full=nasrec_nni.strategies.sampling.distributions:FULL",
        ],
        "nasrec_nni.search": [
            "regularized-evolution=nasrec_nni.strategies.search.evolution:RegularizedEvolution",
            "random=nasrec_nni.strategies.search.random_search:RandomSearch",
            "nsga2=nasrec_nni.strategies.search.nsga2:Nsga2",
            "predictor=nasrec_nni.strategies.search.predictor:PredictorSearch",
        ],
        "nasrec_nni.sources": [
            f"{name}=nasrec_nni.data.sources.{name}:Source"
            for name in ("synthetic", "movielens", "criteo", "avazu", "kdd12", "table")
        ],
        "nasrec_nni.objectives": [
            "log_loss=nasrec_nni.analysis.objectives:LOG_LOSS",
            "auc=nasrec_nni.analysis.objectives:AUC",
            "live_macs=nasrec_nni.analysis.objectives:LIVE_MACS",
            "live_parameters=nasrec_nni.analysis.objectives:LIVE_PARAMETERS",
            "embedding_bytes=nasrec_nni.analysis.objectives:EMBEDDING_BYTES",
            "latency_ms=nasrec_nni.analysis.objectives:LATENCY_MS",
        ],
        "nasrec_nni.baselines": [
            f"{name}=nasrec_nni.baselines.{name}:build"
            for name in (
                *("lr", "mlp", "fm", "wide_deep", "deepfm", "dlrm", "pnn", "dcnv2", "xdeepfm", "autoint"),
                *("fibinet", "masknet", "finalmlp"),
            )
        ],
    },
)
