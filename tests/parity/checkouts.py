"""Small checkouts with the published layouts, whose modules delegate to the packages of this tree."""

ROOT_MODEL = """
import design_bench
import reference_root as root

print("a banner" * 3)


class BrownianBridgeModel(root.BrownianBridgeModel):
    def __init__(self, config):
        p = config.BB.params
        assert "num_timesteps" in p
        super().__init__(root.BridgeParams(
            num_timesteps=p.num_timesteps, mt_type=p.mt_type, objective=p.objective, loss_type=p.loss_type,
            skip_sample=p.skip_sample, sample_type=p.sample_type, sample_step=p.sample_step,
            MLPParams=root.MLPParams(image_size=p.MLPParams.image_size, hidden_size=p.MLPParams.hidden_size),
            max_var=p.max_var if "max_var" in p else 1.0, eta=p.eta if "eta" in p else 1.0),
            dtype=__import__("torch").get_default_dtype())
        self.max_var = p.max_var if "max_var" in p else 1.0

    def sample(self, x_low, y_low, y_high, clip_denoised=True, sample_mid_step=False,
               classifier_free_guidance_weight=0.0):
        return super().sample(x_low, y_low, y_high, clip_denoised, classifier_free_guidance_weight)
"""

ROOT_GP = """
import reference_root as root


class GP(root.GP):
    def __init__(self, device, x_train, y_train, lengthscale, variance, noise, mean_prior, kernel="rbf"):
        super().__init__(x_train, y_train, float(lengthscale), float(variance), float(noise), float(mean_prior))
"""

ROOT_UTILS = """
from reference_root import create_train_dataloader, create_val_dataloader, sampling_from_offline_data, weights_init
import torch
import reference_root as root


def get_optimizer(config, params):
    if config.optimizer == "Adam":
        return torch.optim.Adam(params, lr=config.lr, weight_decay=config.weight_decay, betas=(config.beta1, 0.999))
    if config.optimizer == "RMSProp":
        return torch.optim.RMSprop(params, lr=config.lr, weight_decay=config.weight_decay)
    if config.optimizer == "SGD":
        return torch.optim.SGD(params, lr=config.lr, momentum=0.9)
    return NotImplementedError(config.optimizer)


def sampling_data_from_GP(x_train, device, GP_Model, num_gradient_steps=50, num_functions=5, num_points=10,
                          learning_rate=0.001, delta_lengthscale=0.1, delta_variance=0.1, seed=0, threshold_diff=0.1):
    return root.sampling_data_from_GP(x_train, GP_Model, num_gradient_steps, num_functions, num_points, learning_rate,
                                      delta_lengthscale, delta_variance, seed, threshold_diff)
"""

ROOT_EMA = "from reference_root import EMA\n"

ROOT_RUNNER = """
import os
import random

import design_bench
import numpy as np
import torch
from tqdm import tqdm
from torch.optim.lr_scheduler import ReduceLROnPlateau

from gaussian_process.GP import GP
from model.BrownianBridge.BrownianBridgeModel import BrownianBridgeModel
from runners.base.EMA import EMA
from runners.utils import *

LIMITS = {"TFBind8-Exact-v0": (0.0, 1.0), "TFBind10-Exact-v0": (-1.8585268, 2.1287067),
          "AntMorphology-Exact-v0": (-386.90036, 590.24445), "DKittyMorphology-Exact-v0": (-880.4585, 340.90985)}


class BBDMRunner:
    def __init__(self, config):
        self.config = config
        self.device = config.training.device[0]
        random.seed(config.args.seed)
        torch.manual_seed(config.args.seed)
        np.random.seed(config.args.seed)
        self.net = BrownianBridgeModel(config.model)
        self.net.apply(weights_init)
        self.net.to(self.device)
        self.use_ema = "EMA" in config.model and hasattr(config.model.EMA, "use_ema") and config.model.EMA.use_ema
        self.optimizer = get_optimizer(config.model.BB.optimizer, self.net.parameters())
        self.scheduler = ReduceLROnPlateau(self.optimizer, mode="min", threshold_mode="rel", verbose=True,
                                           **vars(config.model.BB.lr_scheduler))
        if self.use_ema:
            self.ema = EMA(config.model.EMA.ema_decay)
            self.ema.register(self.net)
        if config.model.model_load_path is not None:
            states = torch.load(config.model.model_load_path)
            self.net.load_state_dict(states["model"])
            if self.use_ema:
                self.ema.shadow = states["ema"]
        name = config.task.name
        task = design_bench.make(name, dataset_kwargs={"max_samples": 10000}) if "10" in name else (
            design_bench.make(name))
        x = task.to_logits(task.x) if task.is_discrete else task.x
        x, y = x.reshape(len(x), -1), task.y.reshape(-1)
        self.mean_x, self.std_x = np.mean(x, axis=0), np.std(x, axis=0)
        self.std_x = np.where(self.std_x == 0, 1.0, self.std_x).astype(x.dtype)
        self.mean_y, self.std_y = np.mean(y, axis=0), np.std(y, axis=0)
        order = np.random.permutation(len(x))
        x, y = x[order], y[order]
        if config.task.normalize_x:
            x = (x - self.mean_x) / self.std_x
        if config.task.normalize_y:
            y = (y - self.mean_y) / self.std_y
        self.x, self.y = torch.from_numpy(x).to(self.device), torch.from_numpy(y).to(self.device)

    def loss_fn(self, batch, step):
        (x_high, y_high), (x_low, y_low) = batch
        torch.manual_seed(step)
        masked = torch.rand(y_high.shape, device=self.device) <= self.config.training.classifier_free_guidance_prob
        return self.net(x_high, y_high.masked_fill(masked, 0.0), x_low, y_low.masked_fill(masked, 0.0))[0]

    def train(self):
        try:
            return self._train()
        except Exception as error:
            print(f"it failed: {error}")

    def _train(self):
        config, gp, t = self.config, self.config.GP, self.config.training
        order = torch.argsort(self.y)
        pool = {"highest": self.x[order[-1024:]], "lowest": self.x[order[:1024]]}.get(
            gp.type_of_initial_points, self.x)
        step, held_out = 0, []
        for epoch in tqdm(range(t.n_epochs)):
            x, y = self.x, self.y
            if config.task.name == "TFBind8-Exact-v0":
                rows = torch.randperm(len(x))[: gp.num_fit_samples]
                x, y = x[rows], y[rows]
            process = GP(self.device, x, y, torch.tensor(gp.initial_lengthscale),
                         torch.tensor(gp.initial_outputscale), torch.tensor(gp.noise), torch.tensor(0.0))
            data = sampling_data_from_GP(
                x_train=pool, device=self.device, GP_Model=process, num_gradient_steps=gp.num_gradient_steps,
                num_functions=gp.num_functions, num_points=gp.num_points, learning_rate=gp.sampling_from_GP_lr,
                delta_lengthscale=gp.delta_lengthscale, delta_variance=gp.delta_variance, seed=epoch,
                threshold_diff=gp.threshold_diff)
            loader, held = create_train_dataloader(data, t.val_frac, t.batch_size, True)
            held_out += held
            self.net.train()
            for batch in loader:
                step += 1
                loss = self.loss_fn(batch, step){planted}
                loss.backward()
                if step % t.accumulate_grad_batches == 0:
                    self.optimizer.step()
                    self.optimizer.zero_grad()
                    self.scheduler.step(loss)
                if self.use_ema and step % (config.model.EMA.update_ema_interval * t.accumulate_grad_batches) == 0:
                    self.ema.update(self.net, with_decay=step >= config.model.EMA.start_ema_step)
            if (epoch + 1) % t.validation_interval == 0 or epoch + 1 == t.n_epochs:
                self._validate(create_val_dataloader(held_out, t.batch_size, False))
        if config.args.save_top:
            os.makedirs(config.args.result_path, exist_ok=True)
            path = os.path.join(config.args.result_path, "last_model.pth")
            torch.save({"model": self.net.state_dict(), "ema": self.ema.shadow if self.use_ema else None}, path)
            return path, None

    @torch.no_grad()
    def _validate(self, loader):
        if self.use_ema:
            self.ema.apply_shadow(self.net)
        self.net.eval()
        print(sum(self.loss_fn(batch, step) for step, batch in enumerate(loader)))
        if self.use_ema:
            self.ema.restore(self.net)

    @torch.no_grad()
    def test(self, task):
        t, (y_min, y_max) = self.config.testing, LIMITS[self.config.task.name]
        low, scores = sampling_from_offline_data(self.x, self.y, t.num_candidates, t.type_sampling,
                                                 t.percentile_sampling, self.config.args.seed)
        if self.use_ema:
            self.ema.apply_shadow(self.net)
        self.net.eval()
        target = torch.full((len(low),), float((y_max - self.mean_y) / self.std_y) * t.alpha)
        high = self.net.sample(low, scores, target, clip_denoised=t.clip_denoised,
                               classifier_free_guidance_weight=t.classifier_free_guidance_weight)
        designs = high.numpy() * self.std_x + self.mean_x
        if task.is_discrete:
            designs = designs.reshape(len(designs), -1, task.num_classes - 1)
        found = (torch.from_numpy(task.predict(designs)).reshape(-1) - y_min) / (y_max - y_min)
        return tuple(torch.quantile(found, q, interpolation="higher").item() for q in (1.0, 0.8, 0.5))
"""

GGFM_MODEL = """
import torch
from ggfm.bridge import BrownianBridge
from ggfm.sampling import p_sample, sample
from ggfm.switches import Switches


class BrownianBridgeModel(BrownianBridge):
    def __init__(self, image_size, hidden_size, **settings):
        super().__init__(image_size, hidden_size, dtype=torch.get_default_dtype(),
                         switches=Switches.aligned(), **settings)

    def q_sample(self, x_high, x_low, t, noise=None):
        x_t, objective = super().q_sample(x_high, x_low, t, noise)
        return x_t{planted}, objective
"""

GGFM_EMA = """
import design_bench


class EMA:
    def __init__(self, ema_decay):
        self.decay, self.shadow, self.kept = ema_decay, {}, {}

    def register(self, model):
        self.shadow = {n: p.data.clone() for n, p in model.named_parameters()}

    def update(self, model, with_decay=True):
        for n, p in model.named_parameters():
            d = self.decay if with_decay else 0.0
            self.shadow[n] = (1.0 - d) * p.data + d * self.shadow[n]

    def apply_shadow(self, model):
        for n, p in model.named_parameters():
            self.kept[n] = p.data
            p.data = self.shadow[n]

    def restore(self, model):
        for n, p in model.named_parameters():
            p.data = self.kept[n]
"""


PUBLISHED_MODEL = """
import torch
from torch import nn
from ggfm import sampling
from ggfm.bridge import BrownianBridge
from ggfm.switches import Switches

SWITCHES = Switches.aligned().having(
    dict.fromkeys(("clamp", "noise_eps", "logged_x0", "steps_buffer", "trajectory"), True))


class BrownianBridgeModel(BrownianBridge):
    def __init__(self, image_size, hidden_size, num_timesteps=1000, mt_type="linear", max_var=1.0, eta=1.0,
                 loss_type="l1", objective="grad", skip_sample=True, sample_type="linear", sample_step=200):
        super().__init__(image_size, hidden_size, num_timesteps=num_timesteps, mt_type=mt_type, max_var=max_var,
                         eta=eta, loss_type=loss_type, objective=objective, skip_sample=skip_sample,
                         sample_type=sample_type, sample_step=sample_step, dtype=torch.get_default_dtype(),
                         switches=SWITCHES)
        for k, layer in enumerate(self.denoise_fn.main):
            if isinstance(layer, nn.Linear):
                self.denoise_fn.main[k] = nn.Linear(layer.in_features, layer.out_features)

    def p_losses(self, *given):
        loss, logged = super().p_losses(*given)
        return loss, {"loss": loss, "x0_recon": logged}

    def p_sample(self, x_t, x_low, y_low, y_high, i, clip_denoised, classifier_free_guidance_weight=0.0):
        return sampling.p_sample(self, x_t, x_low, y_low, y_high, i, clip_denoised=clip_denoised,
                                 guidance_weight=classifier_free_guidance_weight)

    def sample(self, x_low, y_low, y_high, clip_denoised=True, classifier_free_guidance_weight=0.0):
        return sampling.sample(self, x_low, y_low, y_high, clip_denoised=clip_denoised,
                               guidance_weight=classifier_free_guidance_weight)
"""

PUBLISHED_GENERATOR = """
from ggfm.gaussian_process import GaussianProcess
from ggfm.pair_sampling import PairSampling, sample_pairs
from reference_root import create_train_dataloader, create_val_dataloader
from src.brownian_bridge import SWITCHES


class GP(GaussianProcess):
    def __init__(self, device, x_train, y_train, lengthscale, variance, noise, mean_prior, kernel="rbf"):
        super().__init__(x_train, y_train, lengthscale=float(lengthscale), variance=float(variance),
                         noise=float(noise), mean_prior=float(mean_prior))

    def mean_posterior(self, x):
        at = x.detach()
        mean = super().mean_posterior(at)
        return mean + ((x - at) * self.gradient(at)).sum(1) if x.requires_grad else mean


def sampling_data_from_GP(x_train, device, GP_Model, num_gradient_steps=50, num_functions=5, num_points=10,
                          learning_rate=0.001, delta_lengthscale=0.1, delta_variance=0.1, seed=0, threshold_diff=0.1,
                          verbose=False):
    settings = PairSampling(num_gradient_steps=num_gradient_steps, num_functions=num_functions, num_points=num_points,
                            learning_rate=learning_rate, delta_lengthscale=delta_lengthscale,
                            delta_variance=delta_variance, threshold_diff=threshold_diff)
    found = {}
    for k, pairs in enumerate(sample_pairs(x_train, GP_Model, settings, seed=seed, switches=SWITCHES)):
        found[f"f{k}"] = [(path, (low, high)) for path, low, high in zip(pairs.path, pairs.y_low, pairs.y_high)]
        print("function", k)
    return found
"""

PUBLISHED_CONFIG = """
class Config:
    BATCH_SIZE = 256
    USE_EMA = False
    HIDDEN_SIZE = 1024
"""


def published_ggfm(folder):
    """A GGFM checkout with everything that its layout names, with the differences of the published one."""
    return write(
        folder,
        {
            "src/brownian_bridge.py": PUBLISHED_MODEL,
            "src/generator.py": PUBLISHED_GENERATOR,
            "src/config.py": PUBLISHED_CONFIG,
            "main.py": GGFM_EMA,
        },
    )


def write(folder, files):
    """The folder, with these files in it."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def root_checkout(folder, **changed):
    """A ROOT checkout; `changed` maps a file, its slashes and dot written as two underscores, to other text."""
    files = {
        "model/BrownianBridge/BrownianBridgeModel.py": ROOT_MODEL,
        "gaussian_process/GP.py": ROOT_GP,
        "runners/utils.py": ROOT_UTILS,
        "runners/base/EMA.py": ROOT_EMA,
        "runners/DiffusionBasedModelRunners/BBDMRunner.py": ROOT_RUNNER.replace("{planted}", ""),
    }
    return write(folder, files | {name.replace("__", "/") + ".py": text for name, text in changed.items()})


def ggfm_checkout(folder, planted=""):
    """A GGFM checkout with a model and an average, and nothing else; `planted` is added to what q_sample returns."""
    return write(
        folder,
        {
            "src/brownian_bridge.py": GGFM_MODEL.replace("{planted}", planted),
            "main.py": GGFM_EMA,
            "runners/utils.py": "raise RuntimeError('the other checkout has this module too')\n",
        },
    )
