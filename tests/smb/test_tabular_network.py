"""FF-FCNN: members of an ensemble, trained together, and the estimators that scikit-learn knows them by."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from facies_xr.smb.methods.tabular.network import WEIGHTS, Settings, _Training, noise, parameters, row_weights, train
from facies_xr.smb.methods.tabular.regressor import NetworkRegressor, stopped_by
from facies_xr.smb.methods.tabular.selection import Selection

from .tabular import table_of


def members_of(count=4, rows=30, features=5):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((count, rows, features)).astype("float32")
    y = (x[..., 0] - x[..., 1]).astype("float32")
    training = np.tile(np.arange(rows) % 4 > 0, (count, 1))
    return x, y, training, ~training


def test_the_network_of_the_paper_has_2211_parameters():
    assert parameters(27, (40, 20, 10, 5)) == 2211
    assert parameters(27, (40, 20, 10, 5), bias=False) == 2135
    x = np.zeros((1, 4, 27), "float32")
    nothing = np.ones((1, 4), bool)
    made = train(x, x[..., 0], nothing, nothing, [Settings(epochs=1)], [0])
    assert sum(part[0].size for part in (*made.weights, *made.biases)) == 2211


def test_noise_is_for_training_only():
    """T3: a fit says the same of the same rows; with noise another network is trained than without."""
    x, y, training, checking = members_of()
    noisy, plain = (
        train(x, y, training, checking, [Settings((4,), sigma=s, epochs=20)] * 4, range(4)) for s in (0.5, 0.0)
    )
    np.testing.assert_array_equal(noisy.predict(x), noisy.predict(x))
    assert np.abs(noisy.weights[0] - plain.weights[0]).max() > 1e-3
    assert abs(noise(3, 20, 500).std() - 1) < 0.05
    np.testing.assert_array_equal(noise(3, 20, 500)[:, :5], noise(3, 5, 500))


def test_l1_shrinks_weights_and_leaves_biases_alone():
    """T4: with zero inputs only the penalty moves weights of the first layer; a constant is learned by biases."""
    x = np.zeros((2, 20, 3), "float32")
    y, every = np.full((2, 20), 3.0, "float32"), np.ones((2, 20), bool)
    settings = [Settings((2,), sigma=0.0, l1=penalty, rate=1e-2, epochs=800, patience=800) for penalty in (0.0, 0.05)]
    made = train(x, y, every, every, settings, [5, 5])
    start = train(x[:1], y[:1], every[:1], every[:1], [Settings((2,), epochs=1, rate=0.0)], [5])
    np.testing.assert_array_equal(made.weights[0][0], start.weights[0][0])
    assert np.abs(made.weights[0][1]).max() < 0.05 < np.abs(made.weights[0][0]).max()
    np.testing.assert_allclose(made.predict(x)[1], 3.0, atol=0.05)


def test_weights_follow_errors_within_their_bounds():
    """T6: mean 1, at most 16 times the smallest; all the same where gamma is 0."""
    error = np.random.default_rng(0).exponential(1, (3, 40)) ** 4
    among = np.ones((3, 40), bool)
    among[:, 30:] = False
    weight = row_weights(error, np.array([0.5, 0.0, 2.0]), among)
    np.testing.assert_allclose(weight.sum(1) / 30, 1)
    assert (weight[:, 30:] == 0).all()
    np.testing.assert_allclose(weight[1, :30], 1)
    for k in (0, 2):
        assert (np.diff(weight[k, :30][np.argsort(error[k, :30])]) >= -1e-12).all()
        assert weight[k, :30].max() / weight[k, :30].min() <= WEIGHTS[1] / WEIGHTS[0] + 1e-9


def test_rows_weigh_the_same_before_the_warm_up():
    x, y, training, checking = members_of()

    def at(epochs, gamma):
        made = train(x, y, training, checking, [Settings((4,), gamma=gamma, epochs=epochs, patience=900)] * 4, range(4))
        return made.weights[0]

    np.testing.assert_array_equal(at(55, 0.5), at(55, 0.0))
    assert np.abs(at(200, 0.5) - at(200, 0.0)).max() > 1e-4


def test_early_stopping_gives_the_best_epoch_back():
    """T7: trained on a law that does not hold for the rows that stop it, a member is given back as it was early."""
    x, y, training, checking = members_of()
    y = np.where(checking, -y, y)
    settings = [Settings((8,), sigma=0.0, l1=0.0, rate=1e-2, epochs=400, patience=50)] * 4
    made = train(x, y, training, checking, settings, range(4))
    error = (((made.predict(x) - y) ** 2 * checking).sum(1) / checking.sum(1)).astype(float)
    late = _Training(x, y, training, checking, settings, [p.copy() for p in _start(settings, 5)])
    for epoch in range(1, 101):
        late._step(epoch)
    with torch.no_grad():
        later = (((late.forward(torch.from_numpy(x)).numpy() - y) ** 2 * checking).sum(1) / checking.sum(1)).astype(
            float
        )
    assert (made.epochs <= 50).all()
    assert (error < later).all()


def _start(settings, features):
    made = train(*(a[:, :4] for a in members_of(len(settings), 30, features)), [Settings((8,), epochs=1, rate=0.0)] * 4,
                 range(4))  # fmt: skip
    return [part for pair in zip(made.weights, made.biases, strict=True) for part in pair]


def test_the_same_seed_gives_the_same_member_whatever_is_trained_beside_it():
    """T10, and that one batch is as good as one by one; padded features change nothing."""
    x, y, training, checking = members_of()
    settings = [Settings((6, 3), sigma=0.1, l1=l1, rate=rate, epochs=80, patience=20)
                for l1, rate in ((0, 1e-3), (1e-2, 3e-3), (1e-3, 1e-2), (0, 3e-2))]  # fmt: skip
    together = train(x, y, training, checking, settings, range(4))
    wide = np.concatenate([x, np.zeros_like(x)], 2)
    padded = train(wide, y, training, checking, settings, range(4), features=[5] * 4)
    for k in range(4):
        one = slice(k, k + 1)
        alone = train(x[one], y[one], training[one], checking[one], settings[one], [k])
        np.testing.assert_allclose(together.predict(x)[k], alone.predict(x[one])[0], atol=2e-4)
    np.testing.assert_allclose(padded.predict(wide), together.predict(x), atol=2e-3)


def test_members_are_stopped_by_whole_groups_in_turn():
    groups = np.repeat(np.arange(10), 3)
    aside = stopped_by(groups, 5, 0)
    for member in aside:
        assert len(np.unique(groups[member])) == 2
        assert not set(groups[member]) & set(groups[~member])
    assert (aside.sum(0) == 1).all()


def test_the_estimator_is_one_of_scikit_learn():
    rows = table_of()
    x, y = rows[[f"t{k}" for k in range(6)]], rows.observed
    model = make_pipeline(Selection(3, trees=20), NetworkRegressor((6,), epochs=150, rate=1e-2, members=3))
    found = clone(model).set_params(networkregressor__l1=1e-4).fit(x, y)
    again = clone(model).set_params(networkregressor__l1=1e-4).fit(x, y)
    np.testing.assert_array_equal(found.predict(x), again.predict(x))
    assert found.score(x, y) > 0.6
    assert set(found[0].get_feature_names_out()) >= {"t0", "t1"}
    _, spread = found[-1].predict(found[0].transform(x), return_std=True)
    assert (spread > 0.1).all()


SCIKIT_LEARN = [
    NetworkRegressor(hidden=(8,), epochs=120, patience=60, members=2, rate=3e-2),
    Selection(3, trees=10),
]


@parametrize_with_checks(SCIKIT_LEARN)
def test_scikit_learn_checks_its_estimators(estimator, check):
    """All of its checks apply and hold; ``check_array_api_input`` skips itself where SciPy's array API is off."""
    check(estimator)


def test_parameters_travel_with_clones_into_searches():
    rows = table_of(6, 8)
    x, y = rows[[f"t{k}" for k in range(6)]], rows.observed
    model = make_pipeline(Selection(2, trees=0), NetworkRegressor((6,), epochs=100, rate=1e-2, members=1))
    copied = clone(model).set_params(selection__k=3, networkregressor__sigma=0.2)
    assert copied.get_params()["selection__k"] == 3
    assert model.get_params()["selection__k"] == 2
    with pytest.raises(ValueError, match="Invalid parameter 'depth'"):
        copied.set_params(networkregressor__depth=3)
    grid = {"networkregressor__rate": [0.0, 1e-2]}
    found = GridSearchCV(model, grid, cv=GroupKFold(3)).fit(x, y, groups=rows.glacier)
    assert found.best_params_ == {"networkregressor__rate": 1e-2}
    assert found.best_score_ > 0.3
