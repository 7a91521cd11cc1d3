import pytest
import torch

import reference_root as root


def batch(n=5, d=4):
    return {"x_high": torch.randn(n, d), "y_high": torch.randn(n), "x_low": torch.randn(n, d), "y_low": torch.randn(n)}


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"mt_type": "cubic"}, "mt_type"),
        ({"num_timesteps": 0}, "num_timesteps"),
        ({"num_timesteps": 2.5}, "num_timesteps"),
        ({"num_timesteps": 1}, "num_timesteps"),
        ({"sample_type": "quadratic"}, "sample_type"),
        ({"sample_step": 2}, "sample_step"),
        ({"sample_step": 0}, "sample_step"),
        ({"MLPParams": root.MLPParams(image_size=0, hidden_size=8)}, "image_size"),
    ],
)
def test_a_bad_setting_is_refused_by_name(make_model, change, name):
    with pytest.raises(ValueError, match=f"^{name} must be .* got "):
        make_model(**change)


def test_one_timestep_is_enough_without_skipping(make_model):
    model = make_model(num_timesteps=1, skip_sample=False)
    data = batch()
    assert model.steps.tolist() == [0]
    assert model.sample(data["x_low"], data["y_low"], data["y_high"]).shape == (5, 4)


@pytest.mark.parametrize("call", ["q_sample", "predict_x0_from_objective"])
def test_an_unknown_objective_is_refused_by_name(make_model, call):
    x, t = torch.randn(5, 4), torch.zeros(5, dtype=torch.int64)
    arguments = (x, x, t) if call == "q_sample" else (x, x, t, x)
    with pytest.raises(ValueError, match="objective must be one of 'grad', 'noise', 'ysubx', got 'score'"):
        getattr(make_model(objective="score"), call)(*arguments)


def test_an_unknown_loss_is_refused_by_name(make_model):
    with pytest.raises(ValueError, match="loss_type must be one of 'l1', 'l2', got 'huber'"):
        make_model(loss_type="huber")(**batch())


@pytest.mark.parametrize("t", [-1, 20])
def test_a_timestep_outside_the_schedule_is_refused(make_model, t):
    x = torch.randn(5, 4)
    with pytest.raises(ValueError, match=rf"t must lie in 0\.\.19, got .*{t}"):
        make_model().q_sample(x, x, torch.full((5,), t))


def test_a_timestep_that_is_not_an_integer_is_refused(make_model):
    x = torch.randn(5, 4)
    with pytest.raises(ValueError, match=r"t must hold integers, got torch\.float32"):
        make_model().q_sample(x, x, torch.ones(5))


@pytest.mark.parametrize("name", ["x_low", "y_high", "y_low"])
def test_a_wrong_shape_is_refused_by_name(make_model, name):
    data = batch()
    data[name] = data[name][:-1]
    with pytest.raises(ValueError, match=rf"{name} must have shape \(5.*\), got \(4"):
        make_model()(**data)


def test_a_step_beyond_the_last_is_refused(make_model):
    model, data = make_model(), batch()
    with pytest.raises(ValueError, match=f"i must be an index into the {len(model.steps)} steps"):
        model.p_sample(data["x_low"], data["x_low"], data["y_low"], data["y_high"], len(model.steps))


def test_steps_are_a_plain_attribute_and_the_schedule_is_in_the_state_dict(make_model):
    keys = make_model().state_dict().keys()
    assert "steps" not in keys
    assert {"m_t", "variance_t", "posterior_variance_t", "denoise_fn.main.6.bias"} <= keys


def test_training_and_sampling_put_the_conditions_in_opposite_orders(make_model):
    model, data, seen = make_model(), batch(), []
    model.denoise_fn.register_forward_hook(lambda _, inputs, __: seen.append(inputs[2:]))
    model(**data)
    model.p_sample(data["x_low"], data["x_low"], data["y_low"], data["y_high"], 0)
    training, conditional, unconditional = seen
    assert torch.equal(training[0], data["y_high"])
    assert torch.equal(training[1], data["y_low"])
    assert torch.equal(conditional[0], data["y_low"])
    assert torch.equal(conditional[1], data["y_high"])
    assert not unconditional[0].any()
    assert not unconditional[1].any()


@pytest.mark.parametrize("objective", ["noise", "ysubx"])
def test_the_logged_x0_takes_y_high_for_x_low_and_so_needs_a_batch_of_1_or_d(make_model, objective):
    model = make_model(objective=objective)
    for n in (1, 4):
        model(**batch(n))
    with pytest.raises(RuntimeError, match="y_high: the published x0_recon"):
        model(**batch(3))


def test_the_logged_x0_of_ysubx_is_y_high_less_the_prediction(make_model):
    model, data = make_model(objective="ysubx"), batch(4)
    t, noise = torch.tensor([0, 3, 7, 19]), torch.randn(4, 4)
    _, log = model.p_losses(**data, t=t, noise=noise)
    x_t, _ = model.q_sample(data["x_high"], data["x_low"], t, noise)
    prediction = model.denoise_fn(x_t, t, data["y_high"], data["y_low"])
    assert torch.equal(log["x0_recon"], data["y_high"] - prediction)


def test_cosine_steps_cannot_be_sampled_with(make_model):
    model, data = make_model(sample_type="cosine"), batch()
    assert model.steps[0] == 20
    with pytest.raises(RuntimeError, match="index 20 is out of bounds"):
        model.sample(data["x_low"], data["y_low"], data["y_high"])


def test_repeated_timesteps_make_the_sample_nan(make_model):
    model, data = make_model(num_timesteps=100, sample_step=150), batch()
    assert len(model.steps.unique()) < len(model.steps)
    assert model.sample(data["x_low"], data["y_low"], data["y_high"]).isnan().any()


def test_no_variance_gives_nan_where_the_formula_is_zero_over_zero(make_model):
    model, data = make_model(max_var=0.0), batch()
    assert model.posterior_variance_t.isnan().all()
    assert model.sample(data["x_low"], data["y_low"], data["y_high"]).isnan().all()


def test_no_eta_makes_sampling_deterministic_but_still_draws(make_model):
    model, data = make_model(eta=0.0), batch()
    before = torch.get_rng_state()
    first = model.sample(data["x_low"], data["y_low"], data["y_high"])
    assert not torch.equal(before, torch.get_rng_state())
    assert torch.equal(first, model.sample(data["x_low"], data["y_low"], data["y_high"]))


def test_the_last_step_draws_no_noise(make_model):
    model, data = make_model(), batch()
    before = torch.get_rng_state()
    x_next, x0 = model.p_sample(data["x_low"], data["x_low"], data["y_low"], data["y_high"], len(model.steps) - 1)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(x_next, x0)


def test_weights_to_be_loaded_are_made_without_a_draw(make_params):
    before = torch.get_rng_state()
    root.BrownianBridgeModel(make_params(), denoise_fn=root.uninitialised_mlp(4, 8))
    assert torch.equal(before, torch.get_rng_state())


def test_float64_buffers_are_not_rounded_to_float32(make_params):
    double = root.BrownianBridgeModel(make_params(), dtype=torch.float64)
    assert torch.equal(double.m_t, torch.from_numpy(root.make_schedule(20, "linear", 1.0).m_t))
    assert not torch.equal(double.m_t, double.m_t.float().double())
