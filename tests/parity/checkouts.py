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
from reference_root import create_train_dataloader, sampling_from_offline_data, weights_init
import reference_root as root


def sampling_data_from_GP(x_train, device, GP_Model, num_gradient_steps=50, num_functions=5, num_points=10,
                          learning_rate=0.001, delta_lengthscale=0.1, delta_variance=0.1, seed=0, threshold_diff=0.1):
    return root.sampling_data_from_GP(x_train, GP_Model, num_gradient_steps, num_functions, num_points, learning_rate,
                                      delta_lengthscale, delta_variance, seed, threshold_diff)
"""

ROOT_EMA = "from reference_root import EMA\n"

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
