"""ROOT's functions, plain and faithful, its mistakes included (arXiv 2509.16300, published code, commit d23f14f)."""

from reference_root.bridge import BrownianBridgeModel
from reference_root.candidates import sampling_from_offline_data
from reference_root.checkpoint import load_final, load_training, save_final, save_training
from reference_root.config import BridgeParams, Config, MLPParams
from reference_root.config_file import PUBLISHED, published_config, read_config_file
from reference_root.dataloader import Batch, PairDataset, create_train_dataloader, create_val_dataloader
from reference_root.denoiser import MLP, uninitialised_mlp
from reference_root.ema import EMA
from reference_root.experiment import FullRun, full_run
from reference_root.gp import GP
from reference_root.initial_weights import weights_init
from reference_root.offline_data import OfflineData, encode_designs, get_offline_data, score_statistics, select_pool
from reference_root.optimiser import BatchUpdate, get_optimizer, get_scheduler
from reference_root.pair_sampling import sampling_data_from_GP
from reference_root.schedule import make_schedule
from reference_root.scores import evaluate_designs, score_range, target_condition
from reference_root.steps import sample_steps
from reference_root.testing import TestRun, in_test_form, test
from reference_root.training import Training, TrainingRun, train
from reference_root.training_loss import training_loss

__version__ = "d23f14f"

__all__ = [
    "EMA",
    "GP",
    "MLP",
    "PUBLISHED",
    "Batch",
    "BatchUpdate",
    "BridgeParams",
    "BrownianBridgeModel",
    "Config",
    "FullRun",
    "MLPParams",
    "OfflineData",
    "PairDataset",
    "TestRun",
    "Training",
    "TrainingRun",
    "create_train_dataloader",
    "create_val_dataloader",
    "encode_designs",
    "evaluate_designs",
    "full_run",
    "get_offline_data",
    "get_optimizer",
    "get_scheduler",
    "in_test_form",
    "load_final",
    "load_training",
    "make_schedule",
    "published_config",
    "read_config_file",
    "sample_steps",
    "sampling_data_from_GP",
    "sampling_from_offline_data",
    "save_final",
    "save_training",
    "score_range",
    "score_statistics",
    "select_pool",
    "target_condition",
    "test",
    "train",
    "training_loss",
    "uninitialised_mlp",
    "weights_init",
]
