import torch

from course_utils import baselines, data, metrics, models, recipes, splits

SAMPLE = data.load_movielens("sample")
TRAIN, TEST = splits.random_split(len(SAMPLE.users))


def state(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_train_mf_gives_its_model_in_eval_mode_by_seed():
    torch.manual_seed(5)
    expected = torch.rand(3).tolist()
    torch.manual_seed(5)
    first = recipes.train_mf(SAMPLE, epochs=1)
    assert torch.rand(3).tolist() == expected  # the global random state is left alone
    assert type(first) is models.MatrixFactorization
    assert first.training is False
    assert torch.equal(state(first), state(recipes.train_mf(SAMPLE, 0, epochs=1)))
    assert not torch.equal(state(first), state(recipes.train_mf(SAMPLE, 1, epochs=1)))


def test_train_mf_predicts_hidden_stars():
    train, test = SAMPLE.take(TRAIN), SAMPLE.take(TEST)
    model = recipes.train_mf(train)
    with torch.no_grad():
        predictions = model(torch.tensor(test.users), torch.tensor(test.items)).numpy()
    biases = baselines.fit_biases(train.users, train.items, train.ratings, train.n_users, train.n_items)
    simple = metrics.rmse(biases.predict(test.users, test.items), test.ratings)
    # .73 stars against .84: the users of the sample have tastes
    assert metrics.rmse(predictions, test.ratings) < 0.92 * simple
