"""Bad params: what `load_params` and the stage `check` meet."""

import copy
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from octavo.project.params.params import Params, load_params
from octavo_stages import check
from tests.architecture.source_tree import ROOT
from tests.contracts.bad_input.kind import Kind

PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
GONE = object()
KEYS: list[tuple[str, object, str]] = [
    # unknown keys: the similar one, then all
    ("dta", {}, "Unknown key 'dta'. Did you mean 'data'? Known: data, networks"),
    ("data.sorce", "npz", "data: Unknown key 'sorce'. Did you mean 'source'? Known: source, path"),
    ("networks.fp32.epoch", 3, "networks.fp32: Unknown key 'epoch'. Did you mean 'epochs'?"),
    ("finetuned.qat.parent", "fp32", "finetuned.qat: Unknown key 'parent'. Known: epochs, "),
    ("variants.onnx_fp32.recip", "x", "variants.onnx_fp32: Unknown key 'recip'. Did you mean 'recipe'?"),
    ("benchmark.round", 30, "benchmark: Unknown key 'round'. Did you mean 'rounds'?"),
    ("policy.max_acuracy_drop", 0.1, "policy: Unknown key 'max_acuracy_drop'. Did you mean 'max_accuracy_drop'?"),
    ("registry.modle", "x", "registry: Unknown key 'modle'. Did you mean 'model'?"),
    ("nightly.drft", {}, "nightly: Unknown key 'drft'. Did you mean 'drift'?"),
    ("nightly.drift.toleranc", 1, "nightly.drift: Unknown key 'toleranc'. Did you mean 'tolerance'?"),
    # missing keys and sections
    ("data", GONE, "data: Field required"),
    ("data.source", GONE, "data.source: Field required"),
    ("networks.fp32.build", GONE, "networks.fp32.build: Field required"),
    ("networks.fp32.epochs", GONE, "networks.fp32.epochs: Field required"),
    ("finetuned.qat.from", GONE, "finetuned.qat.from: Field required"),
    ("baseline", GONE, "baseline: Field required"),
    ("variants", GONE, "variants: Field required"),
    ("variants.onnx_fp32.recipe", GONE, "variants.onnx_fp32.recipe: Field required"),
    ("policy.max_accuracy_drop", GONE, "policy.max_accuracy_drop: Field required"),
    ("registry.model", GONE, "registry.model: Field required"),
    # unknown words
    ("data.source", "digit", "got 'digit'. Did you mean 'digits'?"),
    ("data.source", "imagenet", "data.source: Input should be 'digits', 'mnist'"),
    ("data.duplicates", "drop", "data.duplicates: Input should be 'refuse', 'drop_from_train' or 'allow'"),
    ("networks.fp32.build", "smal_cnn", "Unknown network 'smal_cnn'. Did you mean 'small_cnn'? Known: small_cnn, cnn4"),
    ("networks.fp32.build", "my_nets.build", "Unknown network 'my_nets.build'. Known: small_cnn"),
    ("networks.fp32.build", "my-nets:build", "module:function of your own"),
    ("networks.fp32.build", "my_nets:", "module:function of your own"),
    (
        "networks.fp32.optimizer",
        "sdg",
        "optimizer.name: Input should be 'adam', 'adamw', 'rmsprop' or 'sgd', got 'sdg'",
    ),
    ("networks.fp32.optimizer", {"momentum": 0.9}, "momentum is for rmsprop and sgd, and adam has its own"),
    ("networks.fp32.optimizer", {"name": "sgd", "nesterov": True}, "nesterov is for sgd with momentum"),
    ("networks.fp32.optimizer", {"weight_decay": 0.1}, "weight_decay is for adamw and sgd, got adam"),
    ("networks.fp32.schedule", "cosin", "got 'cosin'. Did you mean 'cosine'?"),
    ("networks.fp32.schedule", "exponential", "exponential needs factor, between 0 and 1"),
    ("networks.fp32.schedule", {"name": "steps", "factor": 0.1, "epochs": [3, 1]}, "steps needs epochs that rise"),
    ("networks.fp32.schedule", {"name": "cosine", "warmup_epochs": 999}, "schedule names epoch 999, and training ends"),
    ("networks.fp32.early_stopping", {}, "networks.fp32.early_stopping.patience: Field required"),
    ("networks.fp32.early_stopping", {"patience": 999}, "early_stopping.patience is 999, and training ends after"),
    ("networks.fp32.augmentation", {}, "Give at least one of flip, shift, rotation, zoom, brightness, noise a value"),
    ("networks.fp32.augmentation", {"flip": "up"}, "Input should be 'horizontal', 'vertical' or 'both', got 'up'"),
    ("networks.fp32.class_weights", "balance", "got 'balance'. Did you mean 'balanced'?"),
    ("networks.fp32.class_weights", {"cat": -1}, "Input should be greater than 0, got -1"),
    ("finetuned.qat.by", "qta", "got 'qta'. Did you mean 'qat'?"),
    ("finetuned.qat.from", "fp23", "finetuned.qat.from is 'fp23'. Did you mean 'fp32'? Known: fp32, control, qat"),
    ("finetuned.qat.from", "qat", "finetuned.qat.from"),
    ("variants.onnx_fp32.source", "fp23", "variants.onnx_fp32.source is 'fp23'. Did you mean 'fp32'? Known: fp32"),
    ("variants.onnx_fp32.recipe", "ONNX", "such as onnx_int8_static, or my_package.my_recipe, got 'ONNX'"),
    ("baseline", "onnx_fp23", "baseline 'onnx_fp23' is not among the variants: onnx_fp32"),
    ("policy.prefer", ["latncy"], "got 'latncy'. Did you mean 'latency'?"),
    # numbers that are none, or out of range
    ("data.calibration", 0, "data.calibration: Input should be greater than 0, got 0"),
    ("data.calibration", "all", "data.calibration: Input should be a valid integer"),
    ("data.seed", -1, "data.seed: Input should be greater than or equal to 0"),
    ("data.seed", 2**32, "data.seed: Input should be less than"),
    ("data.test", 0, "data.test: Input should be greater than 0"),
    ("data.test", 1, "data.test: Input should be less than 1"),
    ("data.selection", float("nan"), "data.selection: Input should be a finite number"),
    ("data.image_size", [28], "data.image_size"),
    ("data.image_size", [0, 28], "data.image_size.0: Input should be greater than or equal to 1"),
    ("networks.fp32.epochs", 0, "networks.fp32.epochs: Input should be greater than or equal to 1"),
    ("networks.fp32.epochs", 1.5, "networks.fp32.epochs: Input should be a valid integer"),
    ("networks.fp32.epochs", True, "networks.fp32.epochs: Input should be a number"),
    ("networks.fp32.epochs", None, "networks.fp32.epochs: Input should be a valid integer"),
    ("networks.fp32.batch_size", -5, "networks.fp32.batch_size: Input should be greater than or equal to 1"),
    (
        "networks.fp32.learning_rate",
        0,
        "networks.fp32.learning_rate: Input should be greater than or equal to 0.000000001",
    ),
    ("networks.fp32.learning_rate", 5, "networks.fp32.learning_rate: Input should be less than or equal to 1"),
    ("networks.fp32.threads", 0, "networks.fp32.threads"),
    ("variants.onnx_fp32.min_sqnr_db", "high", "variants.onnx_fp32.min_sqnr_db: Input should be a valid number"),
    ("benchmark.rounds", 1, "benchmark.rounds: Input should be greater than or equal to 10"),
    ("benchmark.batches", [64], "batches are [64], but must include 1"),
    ("benchmark.batches", [1, 1], "each size is allowed only once"),
    ("benchmark.batches", [1, 0], "benchmark.batches.1"),
    ("benchmark.threads", 5000, "benchmark.threads: Input should be less than or equal to 1024"),
    ("policy.confidence", 0.5, "policy.confidence: Input should be greater than 0.5"),
    ("policy.confidence", 1, "policy.confidence: Input should be less than or equal to 0.999999"),
    ("policy.max_accuracy_drop", 2, "policy.max_accuracy_drop: Input should be less than 1"),
    ("policy.max_size_ratio", 0, "policy.max_size_ratio: Input should be greater than 0"),
    ("policy.prefer", [], "policy.prefer"),
    ("policy.prefer", ["size", "size"], "each figure is allowed only once"),
    ("policy.approvals", 10, "policy.approvals: Input should be less than or equal to 9"),
    # names and things of another kind
    ("networks.FP", {"build": "cnn4", "epochs": 1, "batch_size": 1}, "the name of network 'FP' must be lowercase"),
    ("networks.qat", {"build": "cnn4", "epochs": 1, "batch_size": 1}, "network 'qat' is in both"),
    ("networks", [], "networks: Input should be a mapping"),
    ("data", None, "data: Input should be a mapping"),
    ("variants", {}, "baseline 'onnx_fp32' is not among the variants: none"),
    ("variants.fast", {"source": "fp32", "recipe": "onnx_fp32"}, "the name of variant 'fast' must have the form"),
    ("variants.onnx_fp32", "onnx_fp32", "variants.onnx_fp32: Input should be a mapping"),
    ("variants.onnx_fp32.options", [1], "variants.onnx_fp32.options: Input should be a mapping"),
    ("registry.model", "a/b", "registry.model: Input should be 1 to 200 characters without / : and '"),
    ("registry.model", "", "registry.model"),
    ("registry.experiment", "", "registry.experiment"),
    ("registry.guarded_aliases", ["v1"], "registry.guarded_aliases.0: Input should be lowercase letters"),
    ("data.path", "elsewhere", "source 'digits' reads no path, got 'elsewhere'"),
    ("data.image_size", [28, 28], "image_size is for images in files, and source 'digits' has none. Remove image_size"),
    ("data.generator", "mine:run", "source 'digits' calls no generator. Set source to generator, or remove generator"),
    ("data.encoding", {"layuot": "stored"}, "data.encoding: Unknown key 'layuot'. Did you mean 'layout'?"),
    ("data.encoding", {"layout": "nchw"}, "data.encoding.layout: Input should be 'stored', 'channels_first'"),
    ("data.encoding", {"std": 0}, "data.encoding.std.0: Input should be greater than 0"),
    ("data.encoding", {"mean": [1, 2], "std": [1, 2, 3]}, "mean has 2 values and std 3"),
    ("data.encoding", {"layout": "channels_first"}, "network 'fp32' of networks takes float32 with the channels last"),
    ("brought", {"theirs": {"file": "net.pt"}}, "should be a file in one of .onnx, .keras, .h5, or the folder of a S"),
    ("brought", {"theirs": {"fiel": "net.onnx"}}, "brought.theirs: Unknown key 'fiel'. Did you mean 'file'?"),
    ("brought", {"fp32": {"file": "net.onnx"}}, "network 'fp32' is in both networks and brought: rename one"),
    ("train", {}, "the section 'train' of an earlier release. Write instead: networks:"),
]
FILES = {
    "": "params.yaml is empty. It needs the sections data, networks",
    "[1, 2]": "params.yaml holds a list",
    "data: {": "params.yaml is not YAML",
    "data: 1\ndata: 2\n": "key 'data' occurs twice",
    "a: &a [*a]": "params.yaml is not YAML",
}
RECIPES = {
    "onnx_int8_sttic": "Unknown recipe 'onnx_int8_sttic'. Did you mean 'onnx_int8_static'? Known: ",
    "onnx_int3": "Unknown recipe 'onnx_int3'.",
}


def with_value(key: str, value: object) -> None:
    params: dict[str, Any] = copy.deepcopy(PARAMS)
    *sections, last = key.split(".")
    place = params
    for section in sections:
        place = place[section]
    if value is GONE:
        del place[last]
    else:
        place[last] = value
    loaded(yaml.safe_dump(params, sort_keys=False))


def loaded(content: str) -> Params:
    Path("params.yaml").write_text(content)
    return load_params()


def _kinds() -> Iterator[Kind]:
    for key, value, told in KEYS:
        shown = "gone" if value is GONE else f"{value!r:.20}"
        yield Kind("params", f"{key}={shown}", partial(with_value, key, value), told)
    for content, told in FILES.items():
        yield Kind("params", repr(content), partial(loaded, content), told)
    for recipe, told in RECIPES.items():
        yield Kind("params", recipe, partial(checked, recipe), told)
    yield Kind(
        "params",
        "an unknown variant",
        lambda: loaded(yaml.safe_dump(PARAMS)).variant("onnx_fp23"),
        "Unknown variant 'onnx_fp23'. Did you mean 'onnx_fp32'? Known: ",
    )


def checked(recipe: str) -> None:
    params = copy.deepcopy(PARAMS)
    params["variants"]["onnx_int8_static"]["recipe"] = recipe
    Path("params.yaml").write_text(yaml.safe_dump(params))
    check.main()


KINDS = tuple(_kinds())
