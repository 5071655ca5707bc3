"""NCE: what is left to guess once the class of the source is known."""

import numpy as np

from keras_transfer.insight.scorers.leep import check_probabilities


def nce(probabilities: np.ndarray, y: np.ndarray) -> float:
    """Compute the negative conditional entropy of labels.

    That is, given the class of the source that the network takes an example
    for (Tran et al., "Transferability and Hardness of Supervised
    Classification Tasks", ICCV 2019). Like `leep` it looks at the old head
    only. With about as many classes of the source as there are examples it is
    near 0, whatever the network knows.

    Example:

    ```python
    nce(network.predict(images), labels)  # -0.9
    ```

    Args:
        probabilities: Of each class of the source `(examples, sources)`.
        y: The number of each example's class `(examples,)`.

    Returns:
        A number of at most 0, in nats. Higher is better.

    Raises:
        ValueError: As `leep`.
    """
    probabilities, members = check_probabilities(probabilities, y)
    guesses = np.eye(probabilities.shape[1])[probabilities.argmax(axis=1)]
    joint = guesses.T @ members / len(members)
    total = joint.sum(axis=1, keepdims=True)
    given = np.divide(joint, total, out=np.ones_like(joint), where=joint > 0)
    return float((joint * np.log(given)).sum()) + 0.0
