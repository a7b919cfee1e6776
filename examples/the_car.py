"""The car (M2): the chain rule as a walk from right to left through a calculation.

A car costs 20 (in units of 10 000), two are bought, and tax multiplies by 1.1:

    price 20 ── × count 2 ──► 40 ── × tax 1.1 ──► total 44

Forward, every node has a value. Backward, every node has the derivative of the total by it: what comes from the right, times
the local derivative.
"""

import chainrule as cr


def main() -> dict[str, float]:
    price = cr.parameter(20.0, name="price")
    count = cr.parameter(2.0, name="count")
    tax = cr.parameter(1.1, name="tax")

    subtotal = (price * count).named("subtotal")
    total = (subtotal * tax).named("total")

    nodes = [total, subtotal, price, count, tax]
    derivatives = cr.grad(total, nodes)
    for node, derivative in zip(nodes, derivatives, strict=True):
        print(f"{node.name:>8} = {node.item():4.1f}    d(total)/d({node.name}) = {derivative.item():.1f}")

    by_total, by_subtotal, by_price, _, _ = (d.item() for d in derivatives)
    local = by_price / by_subtotal
    print(f"From right to left: {by_total:.0f}, then × {by_subtotal:.1f}, then × {local:.0f} gives {by_price:.1f}.")

    # The other order of the two multiplications gives the same total and the same derivative by the price.
    other_total = price * tax * count
    (other_by_price,) = cr.grad(other_total, [price])
    print(f"Tax first: total = {other_total.item():.0f}, d(total)/d(price) = {other_by_price.item():.1f}")
    return {
        "total": total.item(),
        "by total": by_total,
        "by subtotal": by_subtotal,
        "by price": by_price,
        "other total": other_total.item(),
        "other by price": other_by_price.item(),
    }


if __name__ == "__main__":
    main()
