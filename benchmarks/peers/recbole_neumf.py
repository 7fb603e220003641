"""Epochs of RecBole's NeuMF, timed. Run by benchmarks/neumf_speed.py in an environment of its own.

The last argument is a JSON object with sizes and settings; prints one JSON object.
"""

import json
import sys
import time
from pathlib import Path

import recbole
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.trainer import Trainer
from recbole.utils import get_model, init_seed


def main() -> None:
    wanted = json.loads(sys.argv.pop())
    torch.set_num_threads(1)
    config = Config(
        model="NeuMF",
        dataset="ml-100k",
        config_dict={
            "data_path": str(Path(recbole.__file__).parent / "dataset_example"),
            "checkpoint_dir": wanted["folder"],
            "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
            "eval_args": {
                "split": {"LS": "valid_and_test"},
                "order": "TO",
                "group_by": "user",
                "mode": "full",
            },
            "train_neg_sample_args": {"distribution": "uniform", "sample_num": wanted["n_neg"]},
            "train_batch_size": wanted["batch_size"],
            "learning_rate": wanted["lr"],
            "mf_embedding_size": wanted["gmf_dim"],
            "mlp_embedding_size": wanted["mlp_dim"],
            "mlp_hidden_size": wanted["layers"],
            "dropout_prob": 0.0,
            "use_gpu": False,
            "worker": 0,
            "state": "ERROR",
        },
    )
    init_seed(0, reproducibility=False)
    train, _, _ = data_preparation(config, create_dataset(config))
    model = get_model("NeuMF")(config, train.dataset)
    trainer = Trainer(config, model)
    torch.set_num_threads(1)
    wall, processor = [], []
    for epoch in range(wanted["epochs"]):
        started = time.perf_counter(), time.process_time()
        trainer._train_epoch(train, epoch, show_progress=False)
        wall.append(time.perf_counter() - started[0])
        processor.append(time.process_time() - started[1])
    result = {
        "samples": len(train.dataset) * (1 + wanted["n_neg"]),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "wall": wall,
        "processor": processor,
        "versions": {"recbole": recbole.__version__, "torch": torch.__version__.split("+")[0]},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
