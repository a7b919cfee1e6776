"""Which quadrant of the plane is a point in? Four classes, two layers, trained from scratch, its regions drawn (M15).

    affine ──► ReLU ──► affine ──► softmax-with-loss

The network is shown 400 points and never told where the axes are. The picture shows where it has put them.
"""

import sys

import chainrule as cr


def main(picture: str = "quadrants.png") -> dict[str, float]:
    train, held_out = cr.data.builtin("quadrants", seed=0), cr.data.builtin("quadrants", seed=1)
    cr.manual_seed(0)
    model = cr.nn.Sequential(cr.nn.Linear(2, 32), cr.nn.ReLU(), cr.nn.Linear(32, 4))
    print(cr.summary(model, (2,)))

    # CrossEntropyLoss is softmax and cross-entropy in one block, whose gradient is y − t.
    optimizer = cr.optim.Adam(model.parameters(), lr=0.02)
    trainer = cr.Trainer(model, cr.nn.CrossEntropyLoss(), optimizer, metrics=["accuracy"])
    history = trainer.fit(train.X, train.y, epochs=60, batch_size=32, validation_data=(held_out.X, held_out.y), progress=False)
    for row in history.epochs[::10]:
        print(f"epoch {row['epoch']:3.0f}: loss {row['loss']:.4f}, held-out accuracy {row['val_accuracy']:.3f}")

    result = trainer.evaluate(held_out.X, held_out.y)
    cr.draw(model, held_out.X, held_out.y, classes=held_out.classes).save(picture)
    print(f"Held-out accuracy {result['accuracy']:.3f}; the regions are drawn in {picture}.")
    return result


if __name__ == "__main__":
    main(*sys.argv[1:])
