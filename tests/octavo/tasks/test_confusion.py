"""The confusion matrix is scikit-learn's, for which the base install has no room."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from octavo.tasks import classification

PAIRS = st.integers(2, 40).flatmap(
    lambda classes: st.tuples(
        st.just(classes), st.lists(st.tuples(st.integers(0, classes), st.integers(0, classes - 1)), min_size=1)
    )
)


@given(PAIRS, st.sampled_from([np.uint8, np.int64]))
def test_it_is_that_of_scikit_learn(drawn: tuple[int, list[tuple[int, int]]], dtype: type) -> None:
    classes, pairs = drawn
    labels, predicted = (np.array(column) for column in zip((0, *pairs[0][1:]), *pairs, strict=True))
    found = classification.confusion(labels.astype(dtype), predicted, classes)
    np.testing.assert_array_equal(found, confusion_matrix(labels, predicted, labels=range(classes)))
    assert found.dtype == np.int64
