"""A penalty on changes to those weights that an old task needs."""

import keras
import numpy as np

from keras_transfer.forgetting.fisher_information import fisher_information
from keras_transfer.forgetting.learned_weights import learned_weights
from keras_transfer.forgetting.likelihood import find_likelihood
from keras_transfer.forgetting.old_examples import draw_examples
from keras_transfer.forgetting.output_checks import check_labels, check_outputs
from keras_transfer.forgetting.weight_anchor import WeightAnchor

_LABELS = ("auto", "expected", "sampled", "true")
_FEW_CLASSES = 10  # each is a backward pass for each example


class EWC:
    """Keeps weights that an old task needs (elastic weight consolidation).

    Adds `strength / 2 * Σ F (w - w₀)²` to the loss, where `w₀` are the weights
    as they are now, and `F` says how much each of them matters for what the
    model answers on old data: the diagonal of its Fisher information, a mean
    over examples. What the old task does not need is free to change.

    Kirkpatrick et al. 2017, "Overcoming catastrophic forgetting in neural
    networks", arXiv:1612.00796. For more than two tasks, `update` is the
    online variant of Schwarz et al. 2018, "Progress & Compress",
    arXiv:1805.06370, section 4.

    The model is the one that knows the old task, head included, and its head
    is held like the rest: for the same classes on other data. For other
    classes, give it a new head after that: `kt.replace_head` shares all
    weights below, and so the penalty, and a new head has none.

    As with `kt.L2SP`, Keras itself adds the penalty up, frozen weights count
    nothing while they are, statistics are left alone, files have neither
    penalty nor anchor, and a `solver` of a phase does not know it. Measuring
    leaves the model, and all random states, as they are.

    Example:

    ```python
    ewc = kt.EWC(animals, old_train, 100.0)
    birds = kt.replace_head(animals, bird_names)
    kt.fine_tune(birds, bird_train)
    ewc.update(bird_train, model=birds)       # before a third task
    ```

    Args:
        model: A classifier with one output `(batch, classes)`, softmax,
            sigmoids or logits.
        old_data: Data of the old task, labelled or not: a `tf.data.Dataset`
            or `keras.utils.PyDataset` of batches, a tuple of arrays `(x, y)`,
            or an array. Of a data set that is not ours, the first examples
            are taken: it should be shuffled.
        strength: Factor of the penalty, at least 0. Defaults to 100.
            By the paper's derivation it is how many old examples there are
            for each new one; in practice, far more is needed.
        examples: How many examples to measure on, at most. Defaults to 200.
            On two cores, EfficientNet-Lite0 at 129 pixels takes 0.1 s for
            each with `"sampled"`, and 0.5 s with `"expected"` and 10 classes.
        labels: Of which labels. `"expected"`: of all that the model may
            answer, by their probability, which takes a backward pass for each
            class; `"sampled"`: of an answer that is drawn for each example;
            `"true"`: of those in the data, which is the "empirical Fisher",
            another thing where the model is not sure and right (Kunstner et
            al. 2019, arXiv:1905.12558). `"auto"` is `"expected"` for up to 10
            classes, and `"sampled"` for more. Defaults to `"auto"`.
        multi_label: Whether an example may belong to several classes.
            Defaults to `None`: the last activation tells, or the loss.
        from_logits: Whether outputs are logits. Defaults to `None`, likewise.
        seed: Seed of what is drawn, an integer at least 0. Defaults to 0.

    Attributes:
        strength: As given. A new value counts from the next step on.
        variables: The variables that are held.
        fisher: For each of them its `F`, an array of its shape, in float32.

    Raises:
        ValueError: If an argument is not as described, or data and model do
            not fit together. The model is left as it was.
    """

    def __init__(
        self,
        model: keras.Model,
        old_data,
        strength: float = 100.0,
        *,
        examples: int = 200,
        labels: str = "auto",
        multi_label: bool | None = None,
        from_logits: bool | None = None,
        seed: int = 0,
    ):
        self._anchor = WeightAnchor(strength)
        _check_count("examples", examples, 1)
        _check_count("seed", seed, 0)
        if labels not in _LABELS:
            raise ValueError(
                f"`labels` must be one of {_LABELS}. "
                f"Received: labels={labels!r}"
            )
        self._examples = examples
        self._labels = labels
        self._meaning = {"multi_label": multi_label, "from_logits": from_logits}
        self._seed = seed
        self._model = model
        variables, fisher = self._measure(model, old_data)
        self._anchor.hold(model, variables, fisher)

    @property
    def strength(self) -> float:
        return self._anchor.strength

    @strength.setter
    def strength(self, value: float):
        self._anchor.strength = value

    @property
    def variables(self) -> tuple[keras.Variable, ...]:
        return self._anchor.variables

    @property
    def fisher(self) -> list[np.ndarray]:
        return self._anchor.importances

    def penalty(self) -> float:
        """Return what it adds to the loss now, for what is trainable now."""
        return self._anchor.measure()

    def update(
        self,
        new_old_data,
        *,
        decay: float = 0.95,
        model: keras.Model | None = None,
    ) -> None:
        """Keep what a further task needs as well, when it has been learned.

        All weights are held to what they are now, by `decay` of what they
        counted plus what they count for the new data. There is one anchor,
        however many tasks.

        Args:
            new_old_data: Data of the task that the model has just learned, as
                `old_data`.
            decay: How much of the earlier `F` stays, in [0, 1]. Defaults to
                0.95.
            model: The classifier that knows the task, if it is another one
                with the same weights below its head. Weights that only it has
                are held from now on. Defaults to the model itself.

        Raises:
            ValueError: If an argument is not as described. Nothing changes
                then.
        """
        if not isinstance(decay, int | float) or not 0 <= decay <= 1:
            raise ValueError(
                "`decay` must be a number in [0, 1], such as 0.95. "
                f"Received: decay={decay!r}"
            )
        model = self._model if model is None else model
        variables, fisher = self._measure(model, new_old_data)
        fresh = {
            id(variable): (variable, values)
            for variable, values in zip(variables, fisher, strict=True)
        }
        self._anchor.move(
            [
                decay * before + fresh.pop(id(variable), (None, 0.0))[1]
                for variable, before in zip(
                    self.variables, self.fisher, strict=True
                )
            ]
        )
        variables = [variable for variable, _ in fresh.values()]
        fisher = [values for _, values in fresh.values()]
        self._anchor.hold(model, variables, fisher)

    def remove(self) -> None:
        """Take the penalty off, and leave earlier regularizers as they were.

        Training is then what it is without any. A second time does nothing.
        """
        self._anchor.remove()

    def _measure(self, model, data) -> tuple[list, list]:
        """Return the weights of a model, and what they count for data."""
        variables = [v for part in learned_weights(model) for v in part]
        likelihood = find_likelihood(model, **self._meaning)
        batches = list(draw_examples(data, self._examples, self._seed))
        first = keras.tree.map_structure(lambda a: a[:1], batches[0][0])
        likelihood, classes = check_outputs(model, first, likelihood)
        labels = self._labels
        if labels == "auto":
            labels = "expected" if classes <= _FEW_CLASSES else "sampled"
        if labels == "true":
            for _, y in batches:
                check_labels(y, classes, likelihood)
        fisher = fisher_information(
            model,
            variables,
            batches,
            likelihood,
            labels=labels,
            seed=self._seed,
        )
        return variables, fisher


def _check_count(name, value, least) -> None:
    is_number = isinstance(value, int | np.integer)
    if isinstance(value, bool) or not is_number or value < least:
        raise ValueError(
            f"`{name}` must be a whole number, at least {least}. "
            f"Received: {name}={value!r}"
        )
