"""A convolutional network reads handwritten digits (M16).

    python digits_cnn.py                                    scikit-learn's 1797 digits of 8 × 8 pixels
    python digits_cnn.py path/to/images-idx3-ubyte.gz       MNIST's format: its labels lie beside it

Each convolution looks at 3 × 3 neighbourhoods with the same weights everywhere; each pooling keeps the largest of 2 × 2.
"""

import sys

import numpy as np

import chainrule as cr


def pictures(path: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (n, 1, height, width) with pixels from 0 to 1, and their digits."""
    if path is None:
        digits = cr.data.builtin("digits")
        return digits.X.reshape(-1, 1, 8, 8), digits.y
    images = cr.data.read_images(path)
    return images.X / np.float32(255), images.y


def main(path: str | None = None) -> dict[str, float]:
    X, y = pictures(path)
    train, held_out = cr.data.split_rows(len(X), 0.2, seed=0, stratify=y)
    height, width = X.shape[2:]

    nn = cr.nn
    cr.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * (height // 4) * (width // 4), 10),
    )
    print(cr.summary(model, X.shape[1:]))

    optimizer = cr.optim.Adam(model.parameters(), lr=0.005)
    trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optimizer, metrics=["accuracy"])
    # The learning rate falls to 0 along a cosine, so that the last steps are small and settle.
    epochs = 8 if path is None else 4
    falling = cr.LearningRate(cr.optim.CosineAnnealingLR(epochs))
    trainer.fit(X[train], y[train], epochs=epochs, batch_size=64, callbacks=[falling])

    result = trainer.evaluate(X[held_out], y[held_out])
    guesses = trainer.predict(X[held_out]).argmax(axis=1)
    print(f"The first ten not seen: {guesses[:10].tolist()}, and they are {y[held_out][:10].tolist()}.")
    print(f"Accuracy on {len(held_out)} pictures not seen: {result['accuracy']:.4f}")
    return result


if __name__ == "__main__":
    main(*sys.argv[1:])
